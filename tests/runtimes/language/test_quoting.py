"""Which requests are answered in the words of their own prompt."""

from mainspring.runtimes.language.quoting import GUESSED, Quoting, tokens_a_step

TEXT = list(range(1000, 1200))


def test_what_is_quoted_makes_many_tokens_a_step():
    quoted = tokens_a_step([*TEXT, 7, 8], [7, 8, *TEXT[20:120]])
    assert 0.7 * (1 + GUESSED) < quoted <= 1 + GUESSED
    assert tokens_a_step(TEXT, list(range(100))) == 1
    assert tokens_a_step(TEXT, [5] * 90) > 5  # what an answer repeats of itself is found, too
    assert tokens_a_step([], [1, 2, 3]) == 1


def test_an_application_is_known_by_its_beginning_and_length():
    quoting = Quoting()
    quotes, writes = [*TEXT, 1], [2, *TEXT]
    assert not quoting.pays(quotes, 0)
    for _ in range(3):
        quoting.learn(quotes, TEXT[50:150])
        quoting.learn(writes, list(range(100)))
    assert quoting.pays(quotes, 0)
    assert quoting.pays([*quotes[:100], *range(100)], 0)  # begins alike, and is about as long
    assert not quoting.pays([*quotes, *TEXT, *TEXT], 0)
    assert not quoting.pays([*quotes[:50], *range(150), *writes[-16:]], 0)  # ends as those that do not quote
    assert not quoting.pays(writes, 0)
    assert not quoting.pays(quotes, 31)  # in a full batch, guesses cost more than they bring


def test_it_changes_its_mind_and_forgets():
    quoting = Quoting()
    for _ in range(5):
        quoting.learn(TEXT, TEXT[50:150])
    assert quoting.pays(TEXT, 0)
    quoting.learn(TEXT, [1] * 3)  # too short to tell
    assert quoting.pays(TEXT, 0)
    for _ in range(5):
        quoting.learn(TEXT, list(range(100)))
    assert not quoting.pays(TEXT, 0)
    for number in range(1000):
        quoting.learn([number] * 20, TEXT[:20])
    assert len(quoting._tokens_a_step) == 1 << 14


def test_an_instruction_at_the_end_is_known_under_any_text():
    quoting = Quoting()
    for start in (0, 20, 40):
        quoting.learn([*TEXT[start : start + 100], 1, 2, 3, 4, 5], TEXT[start : start + 80])
        quoting.learn([*TEXT[start : start + 100], 9, 8, 3, 4, 5], list(range(80)))
    assert quoting.pays([*range(500, 600), 1, 2, 3, 4, 5], 0)
    assert not quoting.pays([*range(500, 600), 9, 8, 3, 4, 5], 0)


def test_what_the_chat_template_writes_tells_nothing():
    opening, closing = list(range(1, 30)), list(range(30, 60))
    quoting = Quoting(([*opening, 70, 71, *closing], [*opening, 80, *closing]))
    for _ in range(3):
        quoting.learn([*opening, *TEXT, *closing], TEXT[50:150])
    assert quoting.pays([*opening, *TEXT, *closing], 0)
    assert not quoting.pays([*opening, *range(100, 300), *closing], 0)
