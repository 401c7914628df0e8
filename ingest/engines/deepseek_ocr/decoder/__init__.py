"""Greedy decoding of many pages at once: vision tokens and a prompt in, text out.

States of a page: *waiting* for a slot (a fixed part of the KV cache); *running* in a slot; *paused*
when it has outgrown its slot and no longer slot is free; *done* at the end-of-sentence id, at its
budget, or in a loop.

A step runs the model once for all slots and adds one id to each running page, or several: ids
guessed from the page's draft (draft tokens, as in prompt-lookup decoding) are verified in the same
step, and those that greedy decoding would have chosen are accepted.

The host (:mod:`.scheduler`) assigns slots, launches prefills and steps, and moves pages to longer
slots. It reads ids back some steps late, detects loops, and drops ids written after a page's end.

The device (:mod:`.step`) proposes guesses, runs the layers, applies the no-repeat rule, chooses and
accepts ids, and deactivates rows at the end-of-sentence id or the budget, all without the host.
"""
