"""Subprocess of the kill tests: write descriptions of many profiles concurrently."""

from concurrent.futures import ThreadPoolExecutor

CONCURRENCY = 4


def profiles(count: int):
    from okrcell.ontology.obs_profile import CellProfile

    return [
        CellProfile(label=f"B cell {number}", cell_type=f"B cell {number}", tissue="blood") for number in range(count)
    ]


def write_all(url: str, ledger_path: str, count: int, when_lost: str = "ask_again") -> None:
    from okrcell.descriptions.llm_cache import RequestCache
    from okrcell.descriptions.llm_prompt import WritingFailed
    from okrcell.descriptions.llm_writer import EndpointSettings, EndpointWriter

    settings = EndpointSettings(model="m", base_url=url, concurrency=CONCURRENCY, prompt="short-1", when_lost=when_lost)
    with RequestCache(ledger_path) as ledger, ThreadPoolExecutor(CONCURRENCY) as threads:
        writer = EndpointWriter(settings, ledger)

        def written(profile) -> bool:
            try:
                return bool(writer.write(profile, ()).sentences)
            except WritingFailed:
                return False

        done = sum(threads.map(written, profiles(count)))
    assert done == count or when_lost == "leave"
