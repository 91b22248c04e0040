"""Every block of TOML in README and docs validates, over what a reader of the page has, and not if its first key is misspelt. Those of data.md and peft.md
are also read or trained on elsewhere (data_verbs_test, peft_test)."""
import json
import re
import shutil

from harness import ROOT, Case, main
import make_tiny
import tiny_dual

PAGES = {"README.md": 1, "composer.md": 8, "operator.md": 5, "parallel.md": 2, "models.md": 2}  # blocks at least


def blocks(page):
    path = ROOT / page if page == "README.md" else ROOT / "docs" / page
    return re.findall(r"^```toml\n(.*?)^```", path.read_text(), flags=re.M | re.S)


class Tables(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        root, own = cls.folder, cls.config.read_text()
        for write, name in [(make_tiny.write_llava, "llava-1.5-7b-hf"), (tiny_dual.write_clip_model, "clip-vit-base-patch32"), (make_tiny.write_mistral3, "mistral"),
                            (make_tiny.write_smolvlm, "smolvlm"), (make_tiny.write_siglip, "siglip-large-patch16-384")]:
            write(root / "models" / name)
        (root / "models" / "silero-vad").mkdir()
        (root / "models" / "silero-vad" / "config.json").write_text(json.dumps({"model_type": "silero_vad"}))
        shutil.copytree(root / "models" / "dinov2", root / "models" / "dinov2-small")
        (root / "models" / "DIRECTORY").symlink_to("llava-1.5-7b-hf")
        data = own[own.index("[[data.train"):]
        media = own[own.index("[model.streams.image]"):own.index("[[data.train")]
        llm = own[own.index("[model.llm]"):own.index("[[model.llm.peft]]")]
        image = media[:media.index("[model.streams.audio]")]
        for name, text in {
            "models/smollm2-135m": llm + data, "models/image_stream": image, "images": llm + image + data, "data": data,
            "siglip": own.replace("models/dinov2", "models/siglip-large-patch16-384").replace('"dinov2"', '"siglip"').replace(", input_size = 28", ""),
            "learning": own.replace("trainable = false", "trainable = true").replace('plugin = "dinov2"', 'plugin = "dinov2", trainable = true'),
            "session": own.replace(f'weights = "{root}/models/whisper"', "hidden_size = 16, intermediate_size = 32, num_layers = 2, num_heads = 2, num_mels = 80"),
            **{family: f'[model]\nfrom = "models/{family}"\n' + data for family in ("mistral", "smolvlm", "llava-1.5-7b-hf")},
        }.items():
            (root / f"{name}.toml").write_text(text)

    def base(self, block):
        """What the block is laid over: the file that a reader has, by what the block is about."""
        for mark, name in {"extends": None, "freeze = ": "learning", "[IMG]": "mistral", "tile_begin": "smolvlm", "part = ": "llava-1.5-7b-hf", 'from = "': "data"}.items():
            if mark in block:
                return name
        return "images" if "reward_model" in block else "siglip" if 'targets = ["q_proj", "v_proj"]' in block and "image.encoder" in block else "session" if "[session]" in block else "tiny"

    def written(self, name, block):
        folder = self.folder / "pages" if "../models/" in block else self.folder
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.toml"
        base = self.base(block)
        if re.match(r"\w+ = ", block) and base:  # keys of a stream, as the page says
            block = "[model.streams.image]\n" + block
        path.write_text((f'extends = ["{base}.toml"]\n' if base else "") + block.replace('"DIRECTORY"', '"models/DIRECTORY"'))
        return path

    def test_tables_of_the_pages(self):
        for page, least in PAGES.items():
            found = blocks(page)
            self.assertGreaterEqual(len(found), least, page)
            for number, block in enumerate(found):
                with self.subTest(page=page, block=block):
                    path = self.written(f"{page}_{number}", block)
                    self.call("validate", path, cwd=self.folder)
                    key = next(name for name in re.findall(r"(?m)^([a-z]\w*) = ", block) if name != "extends")
                    path.write_text(re.sub(rf"(?m)^{key} = ", f"{key}x = ", path.read_text(), count=1))
                    self.assertIn(f"'{key}x'", self.call("validate", path, code=2, cwd=self.folder).stderr)

    def test_no_page_is_left_out(self):
        elsewhere = {"data.md", "peft.md"}
        pages = {path.name for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")] if "```toml" in path.read_text()}
        self.assertEqual(pages, PAGES.keys() | elsewhere)


if __name__ == "__main__":
    main()
