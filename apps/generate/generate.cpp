// antiphon generate FILE [--image …] [--audio …] [--video …] PROMPT
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/engine/generator.h>
#include <antiphon/engine/logprobs.h>
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
  bool json = false;
  std::optional<int64_t> logprobs;
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

std::string answer_json(const std::string& text, const engine::Answer& answer, const text::Tokenizer& tokenizer) {
  nlohmann::json out{
      {"text", text}, {"ids", answer.ids}, {"finish", answer.finish == engine::Finish::length ? "length" : "stop"}};
  if (!answer.scores.empty()) out["logprobs"] = engine::logprobs_json(answer.ids, answer.scores, tokenizer);
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

int run(const GenerateFlags& flags) {
  if (flags.logprobs && !flags.json)
    fail(ErrorKind::config, "--logprobs is given without --json, which shows them", "add --json");
  run::LoadedModel loaded(flags.open);
  if (flags.logprobs) loaded.config.generate.logprobs = flags.logprobs;
  loaded.load_for_inference(flags.open);
  const std::filesystem::path file = flags.open.file;
  const ProfiledRun profiled(flags.profile, loaded, run::is_run_folder(file) ? file / "profile" : "profile",
                             "generate");
  std::vector<data::Prepared> prompts;
  prompts.push_back(loaded.preparer.prepare(sample_of(flags), data::Purpose::generation));
  const auto& options = loaded.config.generate;
  const int64_t prompt = prompts.front().tokens(), wanted = options.limit(prompt);
  if (const auto room = engine::room_for_answer(loaded.writer(), prompt, options); room < wanted)
    log::warning(fmt::format("the answer may have {} tokens, not {}: the prompt leaves no more of the model's context",
                             room, wanted));
  engine::AnswerText text(loaded.tokenizer(), options.stop);
  std::string whole;
  const auto show = [&](const std::string& piece) { flags.json ? void(whole += piece) : write_answer(piece); };
  const auto answers = engine::answers_to(
      loaded.writer(), std::move(prompts), options, loaded.tokenizer().eos_ids(),
      [&](size_t, int32_t id) {
        show(text.push(id));
        return true;
      },
      loaded.tokenizer());
  if (answers.front().failure) std::rethrow_exception(answers.front().failure);
  show(text.finish());
  write_answer((flags.json ? answer_json(whole, answers.front(), loaded.tokenizer()) : "") + "\n");
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
  command->add_flag("--json", flags->json, "print one JSON object at the end: text, ids, finish, logprobs");
  command
      ->add_option(
          "--logprobs", flags->logprobs,
          "with --json: log-probabilities of the answer's tokens and of so many of the likeliest at each place")
      ->check(within(0, 1000));
  command->add_option("--system", flags->system, "a system message");
  add_profile_flag(*command, flags->profile);
  add_checkpoint_flag(*command, flags->open);
  add_adapter_flag(*command, flags->open);
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
