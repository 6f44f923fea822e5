"""Language-model writer: descriptions whose sentences cite their evidence."""

from collections.abc import Iterable, Sequence

from okrcell.knowledge.evidence import Evidence
from okrcell.texts.description import Description
from okrcell.texts.endpoint.answers import (
    MOST_SENTENCES,
    WritingFailed,
    WrongAnswer,
    WrongReply,
    read_answer,
    read_reply,
    schema,
)
from okrcell.texts.endpoint.asking import Asking
from okrcell.texts.endpoint.budget import Estimate
from okrcell.texts.endpoint.graded import graded
from okrcell.texts.endpoint.ledger import Ledger
from okrcell.texts.endpoint.prompt import PromptVersion, Question, ask
from okrcell.texts.endpoint.settings import EndpointSettings
from okrcell.texts.profile import CellProfile

__all__ = ["EndpointSettings", "EndpointWriter"]

CHARACTERS_PER_TOKEN = 4.0
"""Characters per token of English prose; replaced by the measured average after the first answers."""

COMPLETION_TOKENS: dict[PromptVersion, int] = {"essay-1": 1200, "short-1": 350}
"""Expected completion tokens before the first answer: the text in JSON, with citations."""

SENTENCES: dict[PromptVersion, int] = {"essay-1": MOST_SENTENCES, "short-1": 10}
"""Maximum number of sentences of an answer, well above what the prompt requests."""


class EndpointWriter:
    """Writer that uses an OpenAI-compatible endpoint; `write` is thread-safe.

    Every answer is stored in the ledger before it is parsed, so that a second run makes no request and a killed run
    continues where it stopped.
    """

    name = "endpoint"

    def __init__(self, settings: EndpointSettings, ledger: Ledger) -> None:
        self.settings = settings
        self._ledger = ledger
        self._asking = Asking(settings, ledger)

    def write(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Description:
        """Describe the profile, from the ledger or with a request; an unusable answer is requested once more.

        Raises
        ------
        WritingFailed
            If there is no usable answer for this profile; other profiles may succeed.
        EndpointError
            If the endpoint cannot be used at all.
        BudgetSpent
            If the next request could exceed the budget.
        """
        if not profile.known:
            raise WritingFailed("nothing is known of this cell", lasting=True)
        question = self._question(profile, evidence)
        shape = schema(len(question.evidence), SENTENCES[self.settings.prompt])
        trouble = ""
        for attempt in (1, 2):
            key = self._asking.key(question.messages(), attempt)
            body = self._asking.answer(key, question.messages(trouble), shape)
            try:
                sentences = read_answer(read_reply(body), question.evidence)
            except (WrongAnswer, WrongReply) as error:  # a response stored by an earlier version may not parse
                trouble = str(error)
                continue
            texts = graded(profile.cell_type, [sentence.text for sentence in sentences])
            return Description(
                profile=profile,
                sentences=sentences,
                phrasings=texts,
                writer=self.name,
                prompt=f"{self.settings.prompt} {self.settings.model}",
            )
        raise WritingFailed(f"two answers of {self.settings.model} could not be used: {trouble}", lasting=True)

    def ready(self) -> None:
        """Raise if no request can be sent: no client installed, or a key that would be sent unencrypted."""
        self._asking.ready()

    def estimate(self, requests: Iterable[tuple[CellProfile, Sequence[Evidence]]]) -> Estimate:
        """Estimate the cost of writing, without a request; duplicates count once."""
        usual = self._ledger.usual(self.settings.model, self.settings.prompt)
        per_token = usual.characters_per_token or CHARACTERS_PER_TOKEN
        completion = min(
            usual.completion_tokens or COMPLETION_TOKENS[self.settings.prompt], float(self.settings.max_tokens)
        )
        missing: dict[str, int] = {}
        cached: set[str] = set()
        for profile, evidence in requests:
            if profile.known:
                messages = self._question(profile, evidence).messages()
                key = self._asking.key(messages, 1)
                if key not in missing and key not in cached and self._ledger.answer(key) is not None:
                    cached.add(key)
                elif key not in cached:
                    missing[key] = sum(len(message["content"]) for message in messages)
        prompt_tokens = round(sum(missing.values()) / per_token)
        completion_tokens = round(len(missing) * completion)
        money = self.settings.prices.cost(prompt_tokens, completion_tokens).money
        return Estimate(len(missing), len(cached), prompt_tokens, completion_tokens, money)

    def _question(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Question:
        return ask(self.settings.prompt, profile, evidence, self.settings.evidence_limit)
