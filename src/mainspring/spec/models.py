"""`[models.NAME]`: what is fitted, judged, watched and renewed. One class a task, and one a table below it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from mainspring.schema import Kind
from mainspring.spec.values import Budget, Seconds, Strict, Window, WrittenBudget, WrittenWindow

ClassificationMetric = Literal[
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "precision",
    "recall",
    "mcc",
]
RegressionMetric = Literal["rmse", "mae", "r2", "mape"]
Candidate = Literal["linear", "tree", "forest", "boosting", "blend"]
StrategyName = Literal[
    "direct",
    "few-shot",
    "nearest-examples",
    "chain-of-thought",
    "zero-shot-chain-of-thought",
    "self-consistency",
    "tree-of-thoughts",
    "tree-of-thoughts-depth-first",
    "least-to-most",
    "react",
    "reflection",
]
AnswerMetric = Literal["exact_match", "choice_accuracy", "token_f1", "json_equal", "numeric"]


class ColumnSpec(Strict):
    """What the user knows better than inference about one column.

    `private` says what the prediction log, the profile and the reference rows may hold of it: nothing ("drop"), or a
    keyed hash ("hash").
    """

    kind: Kind | None = None
    unit: str | None = None
    description: str | None = None
    private: Literal["drop", "hash"] | None = None


def _column(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


WrittenColumn = Annotated[ColumnSpec, BeforeValidator(_column)]  # in the file a table, or just its kind


class GateSpec(Strict):
    """What a challenger must show: better than the champion by more than `margin`, at this level of `significance`."""

    margin: float = 0.0
    significance: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05


class MonitorSpec(Strict):
    """When live traffic counts as moved: see docs/guide/monitoring.md.

    An alarm needs a window of at least `rows` rows, an effect of at least `effect`, significance at the false-discovery
    rate `significance`, and all of it in `persistence` windows in a row.
    """

    window: WrittenWindow = Window(rows=2000)
    rows: Annotated[int, Field(ge=30)] = 200
    effect: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    significance: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.01
    persistence: Annotated[int, Field(ge=1, le=100)] = 2
    ignore: tuple[str, ...] = Field(default=(), strict=False)


class RenewSpec(Strict):
    """When a challenger is fitted, on what, and how it is let in: see docs/guide/renewal.md.

    `data`: all history, the newest `window` of it, or what came since the change that raised the alarm. `feedback`:
    whether answered and labelled live rows are learned from, too. `candidates` and `budget` are the model's own unless
    given. A challenger that passed the gate takes all traffic at once (`full`), answers beside the champion without
    being heard (`shadow`), or takes the `share` of a canary; it is watched for `trial`, and after a promotion too.
    """

    on_alarm: bool = True
    every: Seconds | None = None
    data: Literal["all", "window", "since-change"] = "all"
    window: Seconds | None = None
    feedback: bool = True
    candidates: tuple[Candidate, ...] | None = Field(default=None, strict=False, min_length=1)
    budget: WrittenBudget | None = None
    cooldown: Seconds = 3600.0
    per_day: Annotated[int, Field(ge=1, le=1000)] = 4
    rollout: Literal["full", "shadow", "canary"] = "full"
    share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    trial: Seconds = 3600.0

    @model_validator(mode="after")
    def _window_belongs_to_its_data(self) -> RenewSpec:
        if (self.data == "window") != (self.window is not None):
            raise ValueError('`window` (such as "90d") together with data = "window", and only then')
        return self


_SEARCH = {"candidates", "budget"}  # of a renewal: of tables alone


class ModelSpec(Strict):
    """What every task has."""

    task: str
    gate: GateSpec = GateSpec()
    monitor: MonitorSpec = MonitorSpec()
    renew: RenewSpec = RenewSpec()

    @property
    def uses(self) -> tuple[str, ...]:
        """The other models that it asks, each once."""
        return ()


class DataSpec(ModelSpec):
    """Rows whose target is known, and how they are divided: what tables and prompts share."""

    data: str
    query: str | None = None
    target: str
    time: str | None = None
    group: str | None = None
    columns: dict[str, WrittenColumn] = Field(default_factory=dict)
    missing: tuple[str, ...] | None = Field(default=None, strict=False)
    holdout: Annotated[float, Field(gt=0.0, lt=0.9)] = 0.2
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class TabularSpec(DataSpec):
    """What classification and regression share: how a table is searched."""

    exclude: tuple[str, ...] = Field(default=(), strict=False)
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    candidates: tuple[Candidate, ...] = Field(
        default=("linear", "tree", "forest", "boosting", "blend"), strict=False, min_length=1
    )
    budget: WrittenBudget = Budget(trials=16)


class ClassificationSpec(TabularSpec):
    """Which class? Two or more."""

    task: Literal["classification"]
    metric: ClassificationMetric | None = None
    class_weight: Literal["balanced"] | None = None


class RegressionSpec(TabularSpec):
    """How much?"""

    task: Literal["regression"]
    metric: RegressionMetric = "rmse"


class RemoteSpec(Strict):
    """An endpoint that speaks OpenAI's API. `key` names the environment variable that has the API key.

    `embeds` is the width of the vectors that an embedding model gives.
    """

    url: str
    model: str
    key: str | None = None
    timeout: Seconds = 60.0
    context: Annotated[int, Field(ge=16)] = 8192
    embeds: Annotated[int, Field(ge=1)] | None = None


class VllmSpec(Strict):
    """What `vllm serve` is told, by its own names. What is left out is vLLM's default, and for `max_model_len` what the
    weights allow.
    """

    max_model_len: Annotated[int, Field(ge=16)] | None = None
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    quantization: Literal["awq", "gptq", "fp8", "compressed-tensors", "bitsandbytes"] | None = None
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    gpu_memory_utilization: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    tensor_parallel_size: Annotated[int, Field(ge=1)] = 1
    max_num_seqs: Annotated[int, Field(ge=1)] | None = None
    tool_call_parser: str | None = None


class LanguageSpec(ModelSpec):
    """A language model: weights that are run here, or somebody's endpoint.

    `base` is a name of the catalogue, a GGUF file, a Hugging Face folder, or a hub id. `precision` is "auto" (the
    fastest way to compute that passes the parity gate) or "reference" (32-bit floats throughout). The engine "vllm" is
    for a GPU, and `vllm` is what it is told. `private` says what the prediction log may hold of prompts and answers:
    nothing ("drop"), or a keyed hash of each ("hash").
    """

    base: str | None = None
    remote: RemoteSpec | None = None
    engine: Literal["auto", "openvino", "llamacpp", "vllm"] = "auto"
    precision: Literal["auto", "reference"] = "auto"
    vllm: VllmSpec = VllmSpec()
    private: Literal["drop", "hash"] | None = None

    @model_validator(mode="after")
    def _learns_nothing(self) -> LanguageSpec:
        if self.renew.rollout == "shadow":
            raise ValueError('`rollout = "canary"` or "full": a language model has no shadows, for an answer is dear')
        if beside := sorted(self.renew.model_fields_set & {"on_alarm", "data", "window", "feedback", *_SEARCH}):
            raise ValueError(f"no {beside} in `renew`: a language model learns nothing from rows")
        return self

    @model_validator(mode="after")
    def _base_or_remote(self) -> LanguageSpec:
        if (self.base is None) == (self.remote is None):
            raise ValueError("either `base` (weights to run here) or `remote` (an endpoint), and not both")
        if self.remote is not None and (self.remote.embeds is not None) != (self.task == "embedding"):
            raise ValueError('`embeds` (the width of its vectors) in `remote` with task = "embedding", and only then')
        if self.engine == "llamacpp" and self.precision == "reference":
            raise ValueError('`engine = "openvino"` with `precision = "reference"`: llama.cpp computes as the file is')
        return self

    @model_validator(mode="after")
    def _vllm_writes(self) -> LanguageSpec:
        if self.engine != "vllm":
            if "vllm" in self.model_fields_set:
                raise ValueError('`vllm` (what it is told) together with `engine = "vllm"`')
            return self
        if self.base is None or self.task == "embedding":
            raise ValueError('`engine = "vllm"` with the `base` of a chat or completion model, and only there')
        if self.precision == "reference":
            raise ValueError('`dtype = "float32"` in `vllm` in place of `precision = "reference"`')
        return self


class AnsweringSpec(LanguageSpec):
    """What chat and completion share: questions with known answers, by which a later version is judged.

    `data` has them, one a row, and `target` is the column of the right answers. Nothing is learned from them.
    """

    data: str | None = None
    query: str | None = None
    target: str | None = None
    metric: AnswerMetric | None = None

    @model_validator(mode="after")
    def _questions_have_answers(self) -> AnsweringSpec:
        if (self.data is None) != (self.target is None):
            raise ValueError("`data` (questions to judge by) together with `target` (the column of the right answers)")
        if self.data is None and (self.query is not None or (self.metric is not None and not self.uses)):
            raise ValueError("`query` and `metric` together with `data` and `target`, and only then")
        return self


class ChatSpec(AnsweringSpec):
    """Messages in, an answer out.

    `knowledge` is the retrieval model that it answers from, with so many `passages` a question. Its answers are then
    `written` by the language model and checked against the passages, or `quoted` from them; `prompt` is the file that
    says who it is, and how it is to answer. Without `data` it is judged by its collection's questions: by whether it
    cites the place that answers, or by `metric`, where the answers are known.
    """

    task: Literal["chat"]
    knowledge: str | None = None
    passages: Annotated[int, Field(ge=1, le=32)] = 5
    answers: Literal["written", "quoted"] = "written"
    prompt: str | None = None

    @model_validator(mode="after")
    def _answers_from_knowledge(self) -> ChatSpec:
        beside = self.model_fields_set & {"passages", "answers", "prompt"}
        if self.knowledge is None and beside:
            raise ValueError(f"`knowledge` (a retrieval model of this project) together with {sorted(beside)}")
        if self.data is None and self.metric not in (None, "exact_match", "token_f1"):
            raise ValueError(f'metric = "exact_match" or "token_f1" without `data`; found {self.metric!r}')
        return self

    @property
    def uses(self) -> tuple[str, ...]:
        """The model that it answers from."""
        return (self.knowledge,) if self.knowledge else ()


class CompletionSpec(AnsweringSpec):
    """A text in, its continuation out."""

    task: Literal["completion"]


class EmbeddingSpec(LanguageSpec):
    """A text in, a vector out."""

    task: Literal["embedding"]


class PromptSpec(DataSpec):
    """A record in, an answer out: a prompt for a chat `model` of this project.

    `strategies` are those that a fit may choose from, besides the prompt as it is written; None is `direct`,
    `few-shot`, and what the other keys make possible. `embeddings` is the embedding model that finds nearest examples,
    `tools` are the models that `react` may use.
    """

    task: Literal["prompt"]
    prompt: str
    model: str
    metric: AnswerMetric | None = None
    strategies: tuple[StrategyName, ...] | None = Field(default=None, strict=False, min_length=1)
    embeddings: str | None = None
    tools: tuple[str, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _is_renewed_as_it_is_fitted(self) -> PromptSpec:
        if self.renew.rollout == "shadow":
            raise ValueError('`rollout = "canary"` or "full": a prompt has no shadows, for an answer is dear')
        if beside := sorted(self.renew.model_fields_set & _SEARCH):
            raise ValueError(f"no {beside} in `renew`: a renewal of a prompt tries its `strategies`")
        return self

    @property
    def tried(self) -> tuple[StrategyName, ...]:
        """The names of the strategies that a fit tries."""
        if self.strategies is not None:
            return self.strategies
        nearest: tuple[StrategyName, ...] = ("nearest-examples",) if self.embeddings else ()
        return ("direct", "few-shot", *nearest, *(("react",) if self.tools else ()))

    @property
    def uses(self) -> tuple[str, ...]:
        """The models that it asks, each once: the chat model first."""
        return tuple(dict.fromkeys((self.model, *((self.embeddings,) if self.embeddings else ()), *self.tools)))
