"""The folders of VocalSet and EMVD as they are published, in small, and plain folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth.corpus.importers.layouts import (
    EMVD_METADATA,
    TERMS,
    Layout,
    guess_set,
    read_emvd,
    read_layout,
    read_plain,
    read_vocalset,
)
from synth.corpus.labels import EMVD, LABEL_MEANINGS, VOCALSET
from synth.errors import UserError
from synth.spec import TECHNIQUES

VOCALSET_TECHNIQUES = {
    "belt", "breathy", "fast_forte", "fast_piano", "forte", "inhaled", "lip_trill", "messa", "pp", "slow_forte",
    "slow_piano", "spoken", "straight", "trill", "trillo", "vibrato", "vocal_fry",
}  # fmt: skip
EMVD_NAMES = {
    "ClearVoice", "BlackShriek", "DeathGrowl", "HardcoreScream", "GrindInhale", "PigSqueal", "DeepGutturals",
    "TunnelThroat",
}  # fmt: skip


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def told(layout: Layout) -> dict[str, tuple[str, str]]:
    return {found.name: (found.label, found.singer) for found in layout.found}


def test_all_seventeen_techniques_of_vocalset_are_known() -> None:
    assert set(VOCALSET) == VOCALSET_TECHNIQUES
    assert LABEL_MEANINGS["vocal_fry"].technique == {"fry": 1.0}
    assert LABEL_MEANINGS["inhaled"].ingress == 1.0
    assert LABEL_MEANINGS["breathy"].technique == {"breathy": 1.0}


def test_every_technique_and_effect_of_emvd_is_known(tmp_path: Path) -> None:
    touch(tmp_path, *(f"Singer1_{name}.wav" for name in EMVD_NAMES))
    assert {found.label for found in read_emvd(tmp_path).found} == set(EMVD)
    assert len(EMVD) == len(EMVD_NAMES)
    for meaning in EMVD.values():
        assert set(meaning.technique) <= set(TECHNIQUES)
        assert sum(meaning.technique.values()) == 1.0
    assert LABEL_MEANINGS["grind_inhale"].ingress == 1.0


def test_vocalset_is_read_as_it_is_laid_out(tmp_path: Path) -> None:
    touch(
        tmp_path / "VocalSet1-2",
        "FULL/male1/scales/vocal_fry/m1_scales_vocal_fry_a.wav",
        "FULL/female2/arpeggios/lip_trill/lip_trill_arps.wav",  # no singer in its name
        "FULL/female4/arpeggios/slow_forte/f4_arpeggios_f_slow_forte_e.wav",
        "FULL/male10/long_tones/messa/m10_long_messa_o.wav",
        "FULL/female1/excerpts/spoken/f1_row_spoken.wav",
        "FULL/female1/excerpts/odd/f1_row_vibrato.wav",  # the name tells what the folder does not
        "FULL/female9/odd/f9_thing.wav",
        "FULL/male1/scales/vocal_fry/._m1_scales_vocal_fry_a.wav",
        "data_by_vowel/a/m1_scales_vocal_fry_a.wav",
        "DataSetVocalises.pdf",
    )
    assert guess_set(tmp_path) == "vocalset"
    layout = read_vocalset(tmp_path)
    assert told(layout) == {
        "male1/scales/vocal_fry/m1_scales_vocal_fry_a.wav": ("vocal_fry", "male1"),
        "female2/arpeggios/lip_trill/lip_trill_arps.wav": ("lip_trill", "female2"),
        "female4/arpeggios/slow_forte/f4_arpeggios_f_slow_forte_e.wav": ("slow_forte", "female4"),
        "male10/long_tones/messa/m10_long_messa_o.wav": ("messa", "male10"),
        "female1/excerpts/spoken/f1_row_spoken.wav": ("spoken", "female1"),
        "female1/excerpts/odd/f1_row_vibrato.wav": ("vibrato", "female1"),
    }
    assert [line.partition(":")[0] for line in layout.passed_over] == ["female9/odd/f9_thing.wav"]


def test_copies_of_one_vocalset_recording_are_one_family(tmp_path: Path) -> None:
    touch(tmp_path / "FULL/female2/scales/vibrato", "f2_scales_vibrato_a.wav", "f2_scales_vibrato_a(1).wav")
    assert len({found.family for found in read_vocalset(tmp_path).found}) == 1


EMVD_HEAD = "file_name,singer_id,type,name,range,vowel,authors_rank,duration(s)\n"


def test_emvd_is_read_by_its_metadata(tmp_path: Path) -> None:
    touch(
        tmp_path / "audio", "Singer9_BlackShriek_Mid_i.wav", "Singer1_ClearVoice_Low_a.wav",
        "Singer14_Effect_DeepGutturals.wav", "Singer3_GrindInhale_u.wav", "Singer4_Other_breath.wav",
        "Singer5_DeathGrowl_Low_a.wav",
    )  # fmt: skip
    (tmp_path / EMVD_METADATA).write_text(
        EMVD_HEAD
        + 'Singer9_BlackShriek_Mid_i.wav,9,Technique,BlackShriek,Mid,i,2,"1,9995625"\n'
        + 'Singer1_ClearVoice_Low_a.wav,1,Technique,ClearVoice,Low,a,1,"3,2"\n'
        + 'Singer14_Effect_DeepGutturals.wav,14,Effect,DeepGutturals,-,-,1,"3,2"\n'
        + 'Singer3_GrindInhale_u.wav,3,Technique,GrindInhale,-,u,2,"3,2"\n'
        + 'Singer4_Other_breath.wav,4,Other,-,-,-,-,"3,2"\n'
        + 'Singer5_DeathGrowl_Low_a.wav,5,Technique,DeathGrowl,Low,a,0,"3,2"\n'
    )
    assert guess_set(tmp_path) == "emvd"
    layout = read_emvd(tmp_path)
    assert told(layout) == {
        "audio/Singer9_BlackShriek_Mid_i.wav": ("black_shriek", "singer9"),
        "audio/Singer1_ClearVoice_Low_a.wav": ("clear_voice", "singer1"),
        "audio/Singer14_Effect_DeepGutturals.wav": ("deep_gutturals", "singer14"),
        "audio/Singer3_GrindInhale_u.wav": ("grind_inhale", "singer3"),
    }
    assert any("ranked lowest" in line for line in layout.passed_over)
    assert any("no technique" in line for line in layout.passed_over)


@pytest.mark.parametrize(
    "text",
    ["Filename;Technique\nSinger2_x.wav;Hardcore Scream\n", "file,name\nSinger2_x.wav,HardcoreScream\n"],
    ids=["semicolons", "few columns"],
)
def test_emvd_takes_the_columns_that_are_there(tmp_path: Path, text: str) -> None:
    touch(tmp_path, "Singer2_x.wav")
    (tmp_path / EMVD_METADATA).write_text(text, encoding="utf-8-sig")
    assert told(read_emvd(tmp_path)) == {"Singer2_x.wav": ("hardcore_scream", "singer2")}


def test_emvd_without_metadata_is_read_by_names_and_folders(tmp_path: Path) -> None:
    touch(tmp_path, "Singer2_PigSqueal.wav", "TunnelThroat/take1.wav")
    assert told(read_layout(tmp_path, "emvd")) == {
        "Singer2_PigSqueal.wav": ("pig_squeal", "singer2"),
        "TunnelThroat/take1.wav": ("tunnel_throat", "singer"),
    }


def test_metadata_without_file_names_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "Singer2_PigSqueal.wav")
    (tmp_path / EMVD_METADATA).write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="no column of file names"):
        read_emvd(tmp_path)


def test_plain_folders_are_labelled_by_sub_folder_or_as_told(tmp_path: Path) -> None:
    touch(tmp_path, "Scream/loud/a.wav", "vocal fry/b.flac", "c.mp3", "notes.txt")
    assert guess_set(tmp_path) == "plain"
    layout = read_plain(tmp_path)
    assert told(layout) == {"Scream/loud/a.wav": ("scream", ""), "vocal fry/b.flac": ("vocal_fry", "")}
    assert len(layout.passed_over) == 1
    assert told(read_plain(tmp_path, "growl"))["c.mp3"] == ("growl", "")
    with pytest.raises(UserError, match="Unknown technique"):
        read_plain(tmp_path, "yodel")


def test_published_sets_bring_their_terms() -> None:
    for terms in TERMS.values():
        assert terms.licence == "CC-BY-4.0"
        assert terms.consent
        assert "doi:10.5281/zenodo." in terms.attribution


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a folder"):
        guess_set(tmp_path / "gone")
