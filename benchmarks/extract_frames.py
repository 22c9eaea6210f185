"""Speed and memory of frame extraction, compared with a plain loop.

    python -m benchmarks.extract_frames [VIDEO] [--repeats 5] [--quick]

With TMPDIR=/dev/shm files are kept in memory: creating one on disk can take as long as decoding a frame.

The plain loop is supervision's frame generator and image sink, which write JPEGs of the same quality without
scoring. Where the machine has a decoder in hardware that PyAV can use (NVDEC, VAAPI, VideoToolbox), decoding
alone is measured with it too, frames copied to memory. Every measurement runs in its own process; rounds are
interleaved, and the fastest one counts. The video (by default a sample) is repeated without re-encoding to 75
seconds, and to 10 minutes for memory.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import av.error
import supervision as sv
from av.codec.hwaccel import HWAccel, hwdevices_available

from benchmarks.ratios import compare
from gotowce_dagster.config.params import FramesParams, read_params
from gotowce_dagster.core.tables import FRAMES, write_table
from gotowce_dagster.video.decode import probe
from gotowce_dagster.video.extract import extract
from gotowce_dagster.video.packets import Losses, demux, opened

ROOT = Path(__file__).parents[1]
PARAMS = read_params(ROOT / "params.yaml").extracted_frames
QUICK_S, SHORT_S, LONG_S = 0.5, 75, 600


def params(fps: float) -> FramesParams:
    """The project's parameters, but only identical images are duplicates, so that all frames are written."""
    return PARAMS.model_copy(update={"fps": fps, "duplicate_bits": 0, "duplicate_change": 0.0})


def decode(video: Path, folder: Path) -> int:
    """Decode only, without conversion or scoring."""
    with av.open(str(video)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0))


def decode_in_hardware(device: str, video: Path, folder: Path) -> int:
    """Decode only, by the hardware of a device type of FFmpeg; every frame is copied to memory."""
    hardware = HWAccel(device_type=device, allow_software_fallback=False)
    with av.open(str(video), hwaccel=hardware) as container:
        return sum(1 for _ in container.decode(video=0))


def decodes(device: str, video: Path) -> bool:
    """Whether this machine has such hardware, for the codec of this video."""
    hardware = HWAccel(device_type=device, allow_software_fallback=False)
    try:
        with av.open(str(video), hwaccel=hardware) as container:
            return next(container.decode(video=0), None) is not None
    except (av.error.FFmpegError, RuntimeError):
        return False


def plain(video: Path, folder: Path, stride: int) -> int:
    with sv.ImageSink(str(folder), image_name_pattern="{:06d}.jpg") as sink:
        for image in sv.get_video_frames_generator(str(video), stride=stride):
            sink.save_image(image)
    return sink.image_count


def ours(video: Path, folder: Path, stride: int) -> int:
    fps = 0 if stride == 1 else probe(video).fps / stride
    rows = extract(video, folder, params(fps))
    write_table(rows, FRAMES, folder / "index.parquet")
    return int(rows["kept"].sum())


IN_HARDWARE = {f"decode, {device}": device for device in hwdevices_available()}
CASES: dict[str, Callable[[Path, Path], int]] = {
    "decode": decode,
    **{case: partial(decode_in_hardware, device) for case, device in IN_HARDWARE.items()},
    "plain, every frame": lambda video, folder: plain(video, folder, 1),
    "ours, every frame": lambda video, folder: ours(video, folder, 1),
    "plain, one in four": lambda video, folder: plain(video, folder, 4),
    "ours, one in four": lambda video, folder: ours(video, folder, 4),
}


def measure_here(case: str, video: Path) -> dict[str, float]:
    """Run one case in this process."""
    with tempfile.TemporaryDirectory() as folder:
        started, cpu_started = time.perf_counter(), time.process_time()
        frames = CASES[case](video, Path(folder))
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
        megabytes = sum(path.stat().st_size for path in Path(folder).glob("*.jpg")) / 1e6
    return {
        "frames": frames,
        "seconds": seconds,
        "cpu_s": cpu_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "written_mb": megabytes,
    }


def measure(case: str, video: Path) -> dict[str, float]:
    """Run one case in its own process."""
    command = [sys.executable, "-m", "benchmarks.extract_frames", str(video), "--case", case]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def repeat(video: Path, target: Path, seconds: float) -> Path:
    """Repeat a video's packets until it has the given length; a shorter video is its beginning."""
    length = probe(video).duration_s
    with av.open(str(target), "w") as out:
        stream = None
        for turn in range(math.ceil(seconds / length)):
            with opened(video) as (container, source):
                if stream is None:
                    stream = out.add_stream_from_template(source)
                assert source.time_base is not None
                offset = round(turn * length / source.time_base)
                for packet in demux(container, source, Losses()):
                    if ((packet.dts or 0) + offset) * source.time_base >= seconds:
                        break
                    packet.pts, packet.dts = (packet.pts or 0) + offset, (packet.dts or 0) + offset
                    packet.stream = stream
                    out.mux(packet)
    return target


def rounds(
    video: Path, repeats: int, by: Callable[[str, Path], dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Measure the fastest round of each case; rounds are interleaved, so that all cases see the same load."""
    cases = [case for case in CASES if case not in IN_HARDWARE or decodes(IN_HARDWARE[case], video)]
    results = [{case: by(case, video) for case in cases} for _ in range(repeats)]
    return {case: min((r[case] for r in results), key=lambda one: one["seconds"]) for case in cases}


def report(video: Path, repeats: int, quick: bool) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        short = repeat(video, Path(folder) / "short.mp4", QUICK_S if quick else SHORT_S)
        info = probe(short)
        size = f"{info.width}x{info.height}, {info.frames} frames"
        yield f"{video.name}: {size}; {os.cpu_count()} cores; best of {repeats} rounds"
        yield f"{'':22}{'frames':>8}{'seconds':>9}{'fps':>7}{'CPU s':>7}{'peak MB':>9}{'written MB':>12}"
        best = rounds(short, repeats, measure_here if quick else measure)
        for case, m in best.items():
            yield (
                f"{case:22}{m['frames']:8.0f}{m['seconds']:9.2f}{info.frames / m['seconds']:7.0f}"
                f"{m['cpu_s']:7.2f}{m['peak_mb']:9.0f}{m['written_mb']:12.1f}"
            )
        if not any(case in best for case in IN_HARDWARE):
            yield f"no decoder in hardware works here (PyAV knows {', '.join(IN_HARDWARE.values())})"
        seconds = {case: m["seconds"] for case, m in best.items()}
        for what in ("every frame", "one in four"):
            ours_s, plain_s = (seconds[f"{who}, {what}"] for who in ("ours", "plain"))
            compare(f"extraction, {what}", ours_s, plain_s, against="the plain loop", unit="s")
        ours_s = seconds["ours, one in four"]
        compare("extraction, one in four", ours_s, seconds["decode"], against="decoding alone", unit="s")
        if quick:
            return
        long = repeat(video, Path(folder) / "long.mp4", LONG_S)
        for case in ("ours, every frame", "ours, one in four"):
            peak = measure(case, long)["peak_mb"]
            yield f"{case}: peak {best[case]['peak_mb']:.0f} MB for {SHORT_S} s, {peak:.0f} MB for {LONG_S} s"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path, nargs="?", default=ROOT / "data/samples/naev_hostile_sample.mp4")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="half a second of video, all in this process")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure_here(arguments.case, arguments.video)))
        return
    for line in report(arguments.video, arguments.repeats, arguments.quick):
        print(line, flush=True)


if __name__ == "__main__":
    main()
