"""Greedy decoding of many pages at once: vision tokens and a prompt in, text out.

States of a page: *waiting* for a slot (a fixed part of the KV cache); *running* in a slot; *paused*
when it has outgrown its slot and no longer slot is free; *done* at the end-of-sentence id, at its
budget, or in a loop.

A step runs the model once for all slots and adds one id to each running page, or several: ids
guessed from the page's draft (draft tokens, as in prompt-lookup decoding) are verified in the same
step, and those that greedy decoding would have chosen are accepted. The host (:mod:`.scheduler`)
assigns slots and detects loops; the device (:mod:`.step`) guesses, chooses, accepts and stops rows.
"""
