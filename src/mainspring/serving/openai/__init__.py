"""OpenAI's API, for language models: `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`, `/v1/models`.

    request body ─ bodies ─▶ ChatRequest … ─ generates() ─▶ Generate ─ asking ─▶ the version's engine
    client ◀─ one JSON, or server-sent events ◀─ chat, completions ◀─ Delta, Usage ◀─┘

bodies       JSON into strict structs; what is wrong with it, in OpenAI's words
sampling     the parameters that chat and completions share
messages     a conversation, its tools, and the form of its answer
chat, completions     what they take, and how their answers are written
embeddings   texts in, vectors out
answers      the structs of an answer
asking       what the two that generate share: which version, what it can, the clock, the stream, the log
generation   pieces from several streams of an engine as one, with limits on silence
exchanges    what the prediction log keeps of a request
models       what can be asked

After OpenAI's reference (https://platform.openai.com/docs/api-reference) and what its clients send. A parameter is
honoured or refused with its name: the few that are taken and change nothing say why, where they stand.
"""
