"""A language model as a version: one file of weights, and the fastest way to compute it that is still the same model.

The weights are taken as they are. How they are multiplied is a choice: with 8-bit or 16-bit or 32-bit numbers between
the layers, and in the cache of keys and values. Coarser is faster, and changes what the model says. So the ways are
tried from the fastest on, and the first is taken that passes the parity gate (`evaluation.language`): over a fixed set
of texts and chats its next-token distributions are nearly those of the weights in 32-bit arithmetic.
"""
