"""Makes conversations out of stamps and prompts, and splits them. Every choice follows from a hash: no random state."""
import hashlib

HELD_OUT_PERCENT = 20
CATEGORY_MINIMUM = 10
ASKED = {"fr": "French", "es": "Spanish", "it": "Italian", "de": "German", "pt": "Portuguese", "nl": "Dutch"}
SPOKEN = ("es", "ro", "ru", "ca", "bg", "en", "nl")

CAPTION = ("What is this?", "What do you see?", "What does the picture show?", "Name what is in the picture.")
CAPTION_IN = ("What is this? Answer in {}.", "Name this in {}.", "What is this called in {}?")
CATEGORY = ("Which category does this belong to?", "Which category is this?", "Sort this picture into a category.")
NAME = ("What does the voice say? Answer in English.", "Translate what you hear into English.",
        "What is this in English?")
TRANSCRIBE = ("Write down what is said.", "Transcribe the speech.", "What does the voice say, word for word?")
MATCH = ("Do the picture and the voice match?", "Does the voice name what the picture shows?")
MATCH_AND_NAME = ("Do the picture and the voice match, and what is shown?",
                  "Does the voice name what the picture shows? Say what it is.")
THEN_CATEGORY = ("And which category does it belong to?", "Which category is that?")
THEN_PICTURE = ("Is it what this picture shows?", "Does this picture show it?")


def number(*parts):
    """A number that depends on the parts only."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")


def choose(options, *parts):
    return options[number(*parts) % len(options)]


def is_held_out(group):
    return number("split", group) % 100 < HELD_OUT_PERCENT


def in_hash_order(values, salt, key):
    return sorted(values, key=lambda value: (number(salt, key(value)), key(value)))


def image(stamp):
    return {"type": "image", "image": f"media/stamps/{stamp.id}.png"}


def voice(stamp, language):
    return {"type": "audio", "audio": f"media/stamps/{stamp.id}_{language}.ogg"}


def text(value):
    return {"type": "text", "text": value}


def ask(*parts):
    return {"role": "user", "content": list(parts)}


def answer(value):
    return {"role": "assistant", "content": value}


def item(identity, task, language, category, *messages):
    return {"id": identity, "task": task, "lang": language, "category": category, "messages": list(messages)}


def inside(caption):
    """A caption within a sentence: "A cat." -> "a cat"; names keep their capital."""
    caption = caption.rstrip(".")
    first = caption.split(" ")[0]
    return caption[0].lower() + caption[1:] if first in ("A", "An", "The", "Some", "Two", "Our", "Another") else caption


class StampTasks:
    """The tasks over one split of the stamps; mismatched voices come from the same split."""

    def __init__(self, stamps):
        self.stamps = stamps

    def caption(self, stamp):
        return item(f"caption/en/{stamp.id}", "caption", "en", stamp.category,
                    ask(image(stamp), text(choose(CAPTION, "caption", stamp.id))), answer(stamp.captions["en"]))

    def caption_in(self, stamp, language):
        question = choose(CAPTION_IN, "caption_in", language, stamp.id).format(ASKED[language])
        return item(f"caption/{language}/{stamp.id}", "caption", language, stamp.category,
                    ask(image(stamp), text(question)), answer(stamp.captions[language]))

    def category(self, stamp):
        return item(f"category/{stamp.id}", "category", "en", stamp.category,
                    ask(image(stamp), text(choose(CATEGORY, "category", stamp.id))), answer(stamp.category + "."))

    def spoken(self, stamp, language):
        return item(f"spoken/{language}/{stamp.id}", "spoken_translate", language, stamp.category,
                    ask(voice(stamp, language), text(choose(NAME, "spoken", language, stamp.id))),
                    answer(stamp.captions["en"]))

    def caption_with_voice(self, stamp, language):
        return item(f"caption_both/{language}/{stamp.id}", "caption", language, stamp.category,
                    ask(image(stamp), voice(stamp, language), text(choose(CAPTION, "both", stamp.id))),
                    answer(stamp.captions["en"]))

    def other(self, stamp, language, salt):
        """A stamp of another thing with a voice in that language."""
        def same_name(other):
            return any(other.captions.get(code) == stamp.captions[code] for code in ("en", language)
                       if code in stamp.captions)
        others = [other for other in self.stamps
                  if language in other.speech and other.group != stamp.group and not same_name(other)]
        return choose(others, salt, language, stamp.id)

    def verdict(self, stamp, said, naming):
        if said is stamp:
            return "Yes. " + stamp.captions["en"] if naming else "Yes."
        if not naming:
            return "No."
        return (f"No. The picture shows {inside(stamp.captions['en'])}, "
                f"the voice says {inside(said.captions['en'])}.")

    def match(self, stamp, language, positive, naming):
        task = "match_and_name" if naming else "match"
        said = stamp if positive else self.other(stamp, language, task)
        media = [image(stamp), voice(said, language)]
        if number("order", task, language, stamp.id) % 4 == 0:
            media.reverse()
        question = choose(MATCH_AND_NAME if naming else MATCH, task, language, stamp.id)
        return item(f"{task}/{language}/{stamp.id}", task, language, stamp.category,
                    ask(*media, text(question)), answer(self.verdict(stamp, said, naming)))

    def matches(self, stamps, language, naming):
        """One match question for each stamp, exactly every second one with the right voice."""
        ordered = in_hash_order(stamps, f"polarity {language}", lambda stamp: stamp.id)
        return [self.match(stamp, language, (index % 2 == 0) == naming, naming)
                for index, stamp in enumerate(ordered)]

    def then_category(self, stamp):
        return item(f"turns/category/{stamp.id}", "category", "en", stamp.category,
                    *self.caption(stamp)["messages"], ask(text(choose(THEN_CATEGORY, "then", stamp.id))),
                    answer(stamp.category + "."))

    def then_picture(self, stamp, language, positive):
        said = stamp if positive else self.other(stamp, language, "then_picture")
        verdict = "Yes." if positive else f"No. The picture shows {inside(stamp.captions['en'])}."
        return item(f"turns/match/{language}/{stamp.id}", "match", language, stamp.category,
                    *self.spoken(said, language)["messages"],
                    ask(image(stamp), text(choose(THEN_PICTURE, "then", stamp.id))), answer(verdict))


def transcribe(prompt):
    return item(f"transcribe/{prompt.language}/{prompt.key}", "transcribe", prompt.language, "speech",
                ask({"type": "audio", "audio": f"media/asterisk/{prompt.language}/{prompt.key}.g722"},
                    text(choose(TRANSCRIBE, "transcribe", prompt.language, prompt.key))), answer(prompt.text))
