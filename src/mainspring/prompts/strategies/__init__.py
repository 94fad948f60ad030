"""The strategies, by the names that prompts call them by.

direct             one call
few_shot           examples in the prompt: fixed ones (Brown et al., 2020), or the nearest (Liu et al., 2022)
chain_of_thought   reasoning before the answer: by examples (Wei et al., 2022), or by instruction (Kojima et al., 2022)
self_consistency   many reasonings, the majority's answer (Wang et al., 2022)
tree_of_thoughts   a search over steps of reasoning, breadth first or depth first (Yao et al., 2023)
least_to_most      simpler questions first (Zhou et al., 2022)
react              reasoning and tools by turns (Yao et al., 2022)
reflection         draft, criticise, revise (Shinn et al., 2023; Madaan et al., 2023)
"""

from mainspring.prompts.strategies.chain_of_thought import ChainOfThought, ZeroShotChainOfThought
from mainspring.prompts.strategies.direct import Direct
from mainspring.prompts.strategies.few_shot import FewShot, NearestExamples
from mainspring.prompts.strategies.least_to_most import LeastToMost
from mainspring.prompts.strategies.react import React
from mainspring.prompts.strategies.reflection import Reflection
from mainspring.prompts.strategies.self_consistency import SelfConsistency
from mainspring.prompts.strategies.tree_of_thoughts import BreadthFirst, DepthFirst
from mainspring.prompts.strategy import Strategy

STRATEGIES: dict[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (
        Direct,
        FewShot,
        NearestExamples,
        ChainOfThought,
        ZeroShotChainOfThought,
        SelfConsistency,
        BreadthFirst,
        DepthFirst,
        LeastToMost,
        React,
        Reflection,
    )
}

__all__ = ["STRATEGIES", *(strategy.__name__ for strategy in STRATEGIES.values())]
