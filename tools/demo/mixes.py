"""Composes the demo's manifests out of tasks: which pictures, prompts and languages go into which of them."""
from collections import Counter

import sources
from tasks import ASKED, CATEGORY_MINIMUM, SPOKEN, StampTasks, choose, in_hash_order, is_held_out, number, transcribe

TRAIN_SECONDS = 6.0
HELD_OUT_TRANSCRIPTS = 20


def categories_of(stamps):
    counts = Counter(stamp.category for stamp in stamps)
    return {category for category, count in counts.items() if count >= CATEGORY_MINIMUM}


def speaking(stamps, language):
    return [stamp for stamp in stamps if language in stamp.speech]


def second_language(stamp):
    """One more language in which the stamp's name was recorded, or None."""
    spoken = [language for language in SPOKEN if language in stamp.speech]
    return choose(spoken, "second language", stamp.id) if spoken else None


def asked_languages(stamp):
    return [language for language in ASKED if language in stamp.captions]


def share(stamps, percent, salt):
    return [stamp for stamp in stamps if number(salt, stamp.id) % 100 < percent]


def by_second_language(stamps):
    groups = {language: [] for language in SPOKEN}
    for stamp in stamps:
        if second_language(stamp):
            groups[second_language(stamp)].append(stamp)
    return groups


def image_items(tasks, stamps, categories, languages_each):
    items = [tasks.caption(stamp) for stamp in stamps]
    items += [tasks.category(stamp) for stamp in stamps if stamp.category in categories]
    for stamp in stamps:
        ordered = in_hash_order(asked_languages(stamp), "asked " + stamp.id, str)
        items += [tasks.caption_in(stamp, language) for language in ordered[:languages_each]]
    return items


def pair_items(tasks, stamps):
    """Each picture with its English name."""
    return [tasks.caption(stamp) for stamp in stamps]


def spoken_items(tasks, stamps, every_language):
    items = [tasks.spoken(stamp, "fr") for stamp in speaking(stamps, "fr")]
    for stamp in stamps:
        second = [second_language(stamp)] if second_language(stamp) else []
        languages = [code for code in SPOKEN if code in stamp.speech] if every_language else second
        items += [tasks.spoken(stamp, language) for language in languages]
    return items


def both_items(tasks, stamps, in_second):
    """Match questions with French voices for all stamps, and with a second language for those of `in_second`."""
    french = speaking(stamps, "fr")
    items = tasks.matches(french, "fr", True) + tasks.matches(french, "fr", False)
    for language, group in by_second_language(in_second).items():
        items += tasks.matches(group, language, True)
    return items


def turn_items(tasks, stamps, categories, percent):
    """(conversations about a picture only, conversations with a voice and a picture)."""
    first = [stamp for stamp in share(stamps, percent, "turns category") if stamp.category in categories]
    second = in_hash_order(share(speaking(stamps, "fr"), percent, "turns match"), "turns", lambda stamp: stamp.id)
    return ([tasks.then_category(stamp) for stamp in first],
            [tasks.then_picture(stamp, "fr", index % 2 == 0) for index, stamp in enumerate(second)])


def train_manifests(stamps, prompts, categories):
    tasks = StampTasks(stamps)
    about_picture, about_both = turn_items(tasks, stamps, categories, 30)
    short = [transcribe(prompt) for prompt in prompts if prompt.seconds <= TRAIN_SECONDS]
    parts = {
        "train_image": image_items(tasks, stamps, categories, 1) + about_picture,
        "train_audio": spoken_items(tasks, stamps, False) + short,
        "train_both": both_items(tasks, stamps, stamps) + about_both,
    }
    full = (image_items(tasks, stamps, categories, len(ASKED)) + about_picture + spoken_items(tasks, stamps, True) +
            [transcribe(prompt) for prompt in prompts] + parts["train_both"])
    return {"train": sum(parts.values(), []), **parts, "train_full": full, "train_pairs": pair_items(tasks, stamps)}


def held_out_manifests(stamps, prompts, categories):
    tasks, some = StampTasks(stamps), share(stamps, 50, "some")
    transcripts = []
    for language in sources.LANGUAGES:
        ordered = in_hash_order([prompt for prompt in prompts if prompt.language == language], "transcripts",
                                lambda prompt: prompt.key)
        transcripts += [transcribe(prompt) for prompt in ordered[:HELD_OUT_TRANSCRIPTS]]
    french = speaking(stamps, "fr")
    in_second = [tasks.spoken(stamp, second_language(stamp)) for stamp in some if second_language(stamp)]
    return {
        "heldout_image": image_items(tasks, stamps, categories, 0) + image_items(tasks, some, (), 1)[len(some):],
        "heldout_audio": [tasks.spoken(stamp, "fr") for stamp in french] + in_second + transcripts,
        "heldout_both": both_items(tasks, stamps, some),
        "heldout_pairs": pair_items(tasks, stamps),
        "heldout_turns": sum(turn_items(tasks, stamps, categories, 50), []),
    }


def stamps_only(stamps, categories):
    """(image, audio, both) items of the stamps-only comparison: French names, English answers."""
    tasks, french = StampTasks(stamps), speaking(stamps, "fr")
    return (image_items(tasks, french, categories, 0), [tasks.spoken(stamp, "fr") for stamp in french],
            [tasks.caption_with_voice(stamp, "fr") for stamp in french])


def build_manifests(stamps, prompts):
    """{manifest name: items in a fixed mixed order}."""
    categories = categories_of(stamps)
    split = {held: [stamp for stamp in stamps if is_held_out(stamp.group) == held] for held in (False, True)}
    spoken = {held: [prompt for prompt in prompts if is_held_out(prompt.group) == held] for held in (False, True)}
    manifests = train_manifests(split[False], spoken[False], categories)
    manifests |= held_out_manifests(split[True], spoken[True], categories)
    manifests["stamps_train"] = sum(stamps_only(split[False], categories), [])
    for stream, items in zip(("image", "audio", "both"), stamps_only(split[True], categories)):
        manifests["stamps_heldout_" + stream] = items
    return {name: in_hash_order(items, "order", lambda entry: entry["id"]) for name, items in manifests.items()}
