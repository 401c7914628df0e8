"""Page engines: read pages into blocks.

Knows nothing of chunks, stores and journals. Used from outside: ``choice.make_engine``,
``choice.load_model``, ``choice.resolve_engine``; retrievers also use
``deepseek_ocr.attempts.survey_page`` and ``deepseek_ocr.grounding``.
"""
