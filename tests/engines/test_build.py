"""Our kernels on a machine that lacks something for them: it says what, and compiles nothing in vain."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.engines.native import build
from instar.engines.native.engine import NativeEngine
from instar.errors import ModelError
from tests.engines.tiny import FolderStore

AMX = "flags : avx512f avx512bw avx512vl avx512_bf16 amx_tile amx_bf16"
ABLE = pytest.mark.skipif(build.why_not() is not None, reason=str(build.why_not()))


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its /proc/cpuinfo."""
    info = tmp_path / "cpuinfo"
    info.write_text(AMX)
    monkeypatch.setattr(build, "CPUINFO", info)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return info


def test_a_compiler_that_is_not_there_is_named(processor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert "no C++ compiler (g++, clang++, c++)" in str(build.why_not())
    monkeypatch.setenv("CXX", "/nonexistent")
    assert "'/nonexistent', which CXX names" in str(build.why_not())
    with pytest.raises(ModelError, match="/nonexistent"):
        NativeEngine(FolderStore(processor.parent))


def test_what_the_processor_lacks_is_named_for_the_precision_that_needs_it(processor: Path) -> None:
    processor.write_text("flags : avx512f avx512bw avx512vl avx512_bf16 fma")
    assert "amx_tile, amx_bf16, which the native engine needs at bf16" in str(build.why_not("bf16"))
    assert "amx" not in str(build.why_not("f32"))
    processor.write_text("flags : avx2 fma")
    assert "lacks avx512f, avx512bw" in str(build.why_not())
    processor.unlink()
    assert "cannot be read" in str(build.why_not())


def test_another_system_or_processor_is_named(processor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert "this is Darwin on arm64" in str(build.why_not())


def test_a_compiler_that_knows_too_little_is_told_by_its_own_words(
    processor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old-cc"
    old.write_text("#!/bin/sh\necho 'bad value sapphirerapids for -march' >&2\nexit 1\n")
    old.chmod(0o755)
    monkeypatch.setenv("CXX", f"{old} --quick")
    assert "old-cc --quick cannot build the kernels: bad value sapphirerapids" in str(build.why_not())


@ABLE
def test_kernels_are_compiled_once_and_again_only_when_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tmp_path / "kernels"
    sources.mkdir()
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))

    def kept() -> list[str]:
        return sorted(p.name for p in (tmp_path / "home" / "kernels").iterdir())

    for answer in (1, 1, 2):
        (sources / "llama.cpp").write_text(f'extern "C" int answer() {{ return {answer}; }}')
        build._loaded.cache_clear()
        assert build.library().answer() == answer
    assert len(kept()) == 2
    (sources / "llama.cpp").write_text("int main( { }")
    build._loaded.cache_clear()
    with pytest.raises(ModelError, match=r"could not be compiled with .*llama\.cpp:1"):
        build.library()
    assert len(kept()) == 2
    monkeypatch.setenv("INSTAR_HOME", "/dev/null/x")
    with pytest.raises(ModelError, match="Point INSTAR_HOME at a folder"):
        build.library()
    build._loaded.cache_clear()
