"""Mainspring's models in chains of others, and retrievers of others behind a chat model of Mainspring's.

langchain     LangChain: a collection as a retriever, a chat model, a retriever of theirs as a `Search`
llama_index   LlamaIndex: the same
models        what both are made of: a collection and a chat model, of a project or of a gateway
"""
