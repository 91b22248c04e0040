// antiphon generate FILE [--image …] [--audio …] [--video …] PROMPT
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/engine/generator.h>
#include <common/answer.h>
#include <common/command.h>
#include <common/profile.h>

namespace antiphon::apps {
namespace {

struct GenerateFlags {
  run::OpenOptions open;
  ProfileFlags profile;
  std::vector<std::string> images, audios, videos;
  std::string prompt, system;
};

Sample sample_of(const GenerateFlags& flags) {
  Sample sample;
  sample.id = "prompt";
  if (!flags.system.empty()) sample.turns.push_back({"system", {{flags.system}}});
  SampleTurn turn{"user", {}};
  auto add = [&](Modality modality, const std::string& path) {
    turn.parts.push_back({{}, static_cast<int64_t>(sample.media.size())});
    sample.media.push_back({modality, path, {}});
  };
  for (const auto& path : flags.images) add(Modality::image, path);
  for (const auto& path : flags.audios) add(Modality::audio, path);
  for (const auto& path : flags.videos) add(Modality::video, path);
  if (!flags.prompt.empty()) turn.parts.push_back({flags.prompt});
  sample.turns.push_back(std::move(turn));
  return sample;
}

int run(const GenerateFlags& flags) {
  run::LoadedModel loaded(flags.open);
  loaded.load_for_inference(flags.open);
  const std::filesystem::path file = flags.open.file;
  const ProfiledRun profiled(flags.profile, loaded, is_folder(file, ErrorKind::config) ? file / "profile" : "profile",
                             "generate");
  std::vector<data::Prepared> prompts;
  prompts.push_back(loaded.preparer.prepare(sample_of(flags), data::Purpose::generation));
  const int64_t wanted = loaded.config.generate.limit();
  if (const auto room = engine::room_for_answer(loaded.writer(), prompts.front().tokens(), wanted); room < wanted)
    log::warning(fmt::format("the answer may have {} tokens, not {}: the prompt leaves no more of the model's context",
                             room, wanted));
  text::StreamDecoder decoder(loaded.tokenizer());
  engine::generate(loaded.writer(), std::move(prompts), loaded.config.generate, loaded.tokenizer().eos_ids(),
                   [&](size_t, int32_t id) {
                     write_answer(decoder.push(id));
                     return true;
                   });
  write_answer(decoder.finish() + "\n");
  return 0;
}

}  // namespace

void add_generate(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("generate", "answer one prompt; tokens are printed as they come");
  auto flags = std::make_shared<GenerateFlags>();
  add_open_options(*command, flags->open);
  command->add_option("prompt", flags->prompt, "what the user says; media come before it");
  command->add_option("--image", flags->images, "a picture (may be repeated)")->allow_extra_args(false);
  command->add_option("--audio", flags->audios, "a recording (may be repeated)")->allow_extra_args(false);
  command->add_option("--video", flags->videos, "a video (may be repeated); [data.video] says what is taken of it")
      ->allow_extra_args(false);
  command->add_option("--system", flags->system, "a system message");
  add_profile_flag(*command, flags->profile);
  add_checkpoint_flag(*command, flags->open);
  add_adapter_flag(*command, flags->open);
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
