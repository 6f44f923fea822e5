"""Language-model writer: descriptions whose sentences cite their evidence."""

from collections.abc import Iterable, Sequence

from okrcell.evidence import Evidence
from okrcell.texts.description import Description
from okrcell.descriptions.llm_prompt import (
    MAX_SENTENCES,
    InvalidAnswer,
    InvalidCompletion,
    WritingFailed,
    answer_schema,
    parse_answer,
    parse_completion,
)
from okrcell.descriptions.llm_writer import LLMClient
from okrcell.texts.endpoint.budget import CostEstimate
from okrcell.texts.endpoint.graded import shortened_texts
from okrcell.descriptions.llm_cache import RequestCache
from okrcell.texts.endpoint.prompt import Prompt, PromptVersion, build_prompt
from okrcell.texts.endpoint.settings import EndpointSettings
from okrcell.ontology.obs_profile import CellProfile

__all__ = ["EndpointSettings", "EndpointWriter"]

CHARACTERS_PER_TOKEN = 4.0
"""Characters per token of English prose; replaced by the measured average after the first answers."""

COMPLETION_TOKENS: dict[PromptVersion, int] = {"essay-1": 1200, "short-1": 350}
"""Expected completion tokens before the first answer: the text in JSON, with citations."""

MAX_ANSWER_SENTENCES: dict[PromptVersion, int] = {"essay-1": MAX_SENTENCES, "short-1": 10}
"""Maximum number of sentences of an answer, well above what the prompt requests."""


class EndpointWriter:
    """Writer that uses an OpenAI-compatible endpoint; `write` is thread-safe.

    Every answer is stored in the ledger before it is parsed, so that a second run makes no request and a killed run
    continues where it stopped.
    """

    name = "endpoint"

    def __init__(self, settings: EndpointSettings, cache: RequestCache) -> None:
        self.settings = settings
        self._cache = cache
        self._client = LLMClient(settings, cache)

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
        if not profile.has_values:
            raise WritingFailed("nothing is known of this cell", permanent=True)
        prompt = self._prompt(profile, evidence)
        json_schema = answer_schema(len(prompt.evidence), MAX_ANSWER_SENTENCES[self.settings.prompt])
        error_message = ""
        for attempt in (1, 2):
            key = self._client.cache_key(prompt.messages(), attempt)
            body = self._client.complete(key, prompt.messages(error_message), json_schema)
            try:
                sentences = parse_answer(parse_completion(body), prompt.evidence)
            except (InvalidAnswer, InvalidCompletion) as error:  # a response stored by an earlier version may not parse
                error_message = str(error)
                continue
            texts = shortened_texts(profile.cell_type, [sentence.text for sentence in sentences])
            return Description(
                profile=profile,
                sentences=sentences,
                phrasings=texts,
                writer=self.name,
                prompt=f"{self.settings.prompt} {self.settings.model}",
            )
        raise WritingFailed(f"two answers of {self.settings.model} could not be used: {error_message}", permanent=True)

    def check_client(self) -> None:
        """Raise if no request can be sent: no client installed, or a key that would be sent unencrypted."""
        self._client.get_client()

    def estimate(self, requests: Iterable[tuple[CellProfile, Sequence[Evidence]]]) -> CostEstimate:
        """Estimate the cost of writing, without a request; duplicates count once."""
        average = self._cache.average_usage(self.settings.model, self.settings.prompt)
        characters_per_token = average.characters_per_token or CHARACTERS_PER_TOKEN
        expected_tokens = min(
            average.completion_tokens or COMPLETION_TOKENS[self.settings.prompt], float(self.settings.max_tokens)
        )
        missing_characters: dict[str, int] = {}
        cached: set[str] = set()
        for profile, evidence in requests:
            if profile.has_values:
                messages = self._prompt(profile, evidence).messages()
                key = self._client.cache_key(messages, 1)
                if key not in missing_characters and key not in cached and self._cache.get(key) is not None:
                    cached.add(key)
                elif key not in cached:
                    missing_characters[key] = sum(len(message["content"]) for message in messages)
        prompt_tokens = round(sum(missing_characters.values()) / characters_per_token)
        completion_tokens = round(len(missing_characters) * expected_tokens)
        money = self.settings.prices.cost(prompt_tokens, completion_tokens).money
        return CostEstimate(len(missing_characters), len(cached), prompt_tokens, completion_tokens, money)

    def _prompt(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Prompt:
        return build_prompt(self.settings.prompt, profile, evidence, self.settings.evidence_limit)
