"""The base image: as full as asked, fragmented, the same every time, with the files that sources expect."""

import numpy as np
import pytest
from pool_tools import WITH_DISCARDS, WITHOUT, small

from clonesim.errors import ParameterError
from clonesim.guest import Volume
from clonesim.guest.activity import Activity, Machine
from clonesim.guest.base_image import BaseImage, _Ager, base_image, read_bitmap
from clonesim.keys import generator
from clonesim.pool.clones import Desktop, activity_of
from clonesim.scenario import load_scenario

GIB, MIB = 2**30, 2**20
OFF = {"feature-update": {"enabled": False}, "mail-cache": {"enabled": False}}


def image_of(size: str, used: int, policy: str = "windows", os: str = "windows-xp", key: int = 1) -> BaseImage:
    activity = Activity(os, OFF, Machine(memory=GIB, page_file=256 * MIB, used=used))
    volume = Volume(size, policy=policy, os=os, auto_checkpoint=False)
    return base_image(volume, activity, used, generator(key, 0, -1, "pool:base-image"))


class TestFullness:
    @pytest.mark.parametrize("preset", ["windows-xp-office", "windows-7-office", "windows-10-office"])
    def test_packaged_scenarios(self, preset: str) -> None:
        scenario = load_scenario(preset)
        volume = Desktop(scenario, 0).image.volume
        assert volume.used_bytes == pytest.approx(scenario.guest.used, rel=0.01)
        assert volume.free_runs > 1000

    @pytest.mark.parametrize("policy", ["windows", "best-fit", "fresh-first", "ntfs3g"])
    @pytest.mark.parametrize("used_gib", [8, 24, 36])
    def test_on_40_gib(self, policy: str, used_gib: int) -> None:
        volume = image_of("40 GiB", used_gib * GIB, policy).volume
        assert volume.used_bytes == pytest.approx(used_gib * GIB, rel=0.01)
        assert volume.free_runs > 1000
        assert (volume.clock, volume.quarantined_bytes) == (0.0, 0)

    def test_sound(self) -> None:
        for policy in ("windows", "fresh-first", "ntfs3g"):
            image_of("4 GiB", 3 * GIB, policy).volume.check_invariants()

    @pytest.mark.parametrize("used_gib", [4, 14])
    def test_the_peak_is_the_catalog_s(self, used_gib: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Files that come and go once took 1.2 times what is left of them, as far as 97 % of the disk allow."""
        before: list[int] = []
        empty = _Ager.empty

        def spy(ager: _Ager, target: int) -> None:
            before.append(ager.volume.used_bytes)
            empty(ager, target)

        monkeypatch.setattr(_Ager, "empty", spy)
        used = used_gib * GIB
        activity = Activity("windows-xp", OFF, Machine(memory=GIB, page_file=256 * MIB, used=used))
        system = Volume("16 GiB", os="windows-xp").used_bytes
        image_of("16 GiB", used)
        others = used - system - activity.base_bytes
        highest = min(used + 0.2 * others, 0.97 * 16 * GIB)
        assert before == pytest.approx([highest] * 4, rel=0.02)


class TestAger:
    @pytest.mark.parametrize("os", ["windows-xp", "windows-10"])
    def test_it_knows_what_its_files_take(self, os: str) -> None:
        """Small files stand in their MFT records; the others take what the volume says they take."""
        volume = Volume("64 MiB", os=os, auto_checkpoint=False)
        system, limit = volume.used_bytes, volume.settings.values["resident_limit"]
        ager = _Ager(volume, np.random.default_rng(1), 8.0, 2.0, MIB)
        for target in (12 * MIB, 20 * MIB):
            ager.fill(target, 3000)
            taken = [int(volume.extents(number)["clusters"].sum()) for number in ager.live.tolist()]
            assert ager.clusters.tolist() == taken
            assert target - MIB - 4096 <= sum(taken) * 4096 <= target
            resident = [volume.size(number) <= limit for number in ager.live.tolist()]
            assert 0.1 < np.mean(resident) < 0.4
            assert [count == 0 for count in taken] == resident
            ager.empty(system + target // 2)
            assert sorted(ager.live.tolist()) == [number for number in range(3000) if number in volume]
            assert volume.used_bytes == pytest.approx(system + target // 2, rel=0.15)
        volume.check_invariants()


class TestTheSame:
    def test_twice(self) -> None:
        one, two = image_of("8 GiB", 3 * GIB), image_of("8 GiB", 3 * GIB)
        assert (one.volume.bitmap == two.volume.bitmap).all() and one.first_file == two.first_file
        other = image_of("8 GiB", 3 * GIB, key=2)
        assert (one.volume.bitmap != other.volume.bitmap).any()

    def test_every_clone_starts_from_it(self) -> None:
        desk = Desktop(small(), 0)
        before = desk.volume.bitmap
        desk.volume.create(desk.image.first_file - 1, "1 MiB")
        desk.volume.revert()
        assert (desk.volume.bitmap == before).all()


class TestSourcesFiles:
    @pytest.mark.parametrize("preset", [WITH_DISCARDS, WITHOUT])
    def test_they_are_there(self, preset: str) -> None:
        scenario = small(preset)
        image, files = Desktop(scenario, 0).image, activity_of(scenario).base_files
        found = files(image.first_file)
        assert len(found) > 100
        assert all(image.volume.size(number) == size for number, size in found)
        assert image.first_file % 10 == 0
        assert max(n for n in range(image.first_file) if n in image.volume) < image.first_file

    @pytest.mark.parametrize("policy", ["windows", "ntfs3g"])
    def test_refused_where_they_do_not_fit(self, policy: str) -> None:
        volume = Volume("8 GiB", policy=policy, os="windows-xp", auto_checkpoint=False)
        activity = Activity("windows-xp", OFF, Machine(memory=GIB, page_file=256 * MIB))
        need = activity.base_bytes + volume.used_bytes
        mib = -(-need // MIB)
        with pytest.raises(ParameterError) as caught:
            base_image(volume, activity, 256 * MIB, np.random.default_rng(0))
        assert str(caught.value) == (
            f"guest.used='256 MiB': the page file, caches and databases in use need {mib} MiB. "
            "Raise guest.used, or switch sources off."
        )
        assert mib > 256


class TestBitmapFile:
    def test_lowest_bit_first(self, tmp_path) -> None:
        (tmp_path / "b").write_bytes(bytes([0b00000101, 0b10000000]))
        assert np.flatnonzero(read_bitmap(tmp_path / "b")).tolist() == [0, 2, 15]

    def test_too_long(self, tmp_path) -> None:
        with (tmp_path / "b").open("wb") as file:
            file.truncate(2**27 + 1)
        with pytest.raises(ParameterError, match=r"a copy of \$Bitmap has 1 B to 128 MiB"):
            read_bitmap(tmp_path / "b")
