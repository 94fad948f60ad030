"""Language models at work: text in, text out, one stream for each of many requests.

protocol       what every engine takes and gives: `Engine`, `Generate`, `Delta`, `Usage`, `Capabilities`
tokens         a model's own tokenizer; text from a growing list of tokens
chat_template  messages to the prompt text that a model was trained on
tool_calls     functions that a model may call: how they are written in the prompt
call_reader    and how they are read from the answer
structures     JSON schemas as grammars (schemas, patterns, formats, numbers, gbnf)
local          an `Engine` over a backend that knows tokens only (preparing, choices, stops; settings, sizes)
backend        what such a backend is; turns: who is served when; worker: the thread that it runs on
openvino       backend: OpenVINO GenAI, the default
openvino_graph what OpenVINO makes of a GGUF file, mended so that it computes what the file says
llamacpp       backend: llama.cpp, the widest reader of GGUF
embedding      sentence vectors of encoder models (encoders, pooling)
remote         an `Engine` over any endpoint that speaks OpenAI's API
vllm           vLLM as a process of our own, asked through `remote`
host, client   an engine in a process of its own, and an `Engine` that asks it; `frames` go over their `sockets`
process        keeps such a process alive
"""
