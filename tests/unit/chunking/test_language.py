from __future__ import annotations

import pytest

from opticalrag.ingest.chunking.language import detect_language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The turbine was out of service because its pump had to be replaced.", "en"),
        ("Die Turbine war außer Betrieb, weil die Pumpe ersetzt werden musste.", "de"),
        ("터빈은 펌프를 교체해야 했기 때문에 가동되지 않았습니다.", "ko"),
        ("ポンプを交換する必要があったため、タービンは停止していました。", "ja"),
        ("توقفت التوربينة عن العمل لأن المضخة كانت بحاجة إلى استبدال.", "ar"),
    ],
)
def test_the_language_of_a_sentence_is_found(text: str, code: str) -> None:
    """One sentence is enough, in any script."""
    assert detect_language(text) == code


@pytest.mark.parametrize("text", ["", "Table 3", "1,234 | 5,678", "| --- |"])
def test_too_little_text_has_no_language(text: str) -> None:
    """A wrong language in a filter is worse than none."""
    assert detect_language(text) == ""


def test_codes_have_two_letters() -> None:
    """Languages without a two-letter code are left out."""
    garbled = (
        "]üìÜüéê •ìê °ê£ë†£ûÜüéê †ë ∞†¶£ èÜ•ÜáÜ§ê †°ê£Ü•î†ü§ We build confident, satisfied clients"
    )

    assert len(detect_language(garbled)) == 2
