#include "session_bench.h"

#include <c10/core/Device.h>
#include <fmt/format.h>

#include <antiphon/media/decode.h>
#include <antiphon/model/slot.h>
#include <antiphon/session/session.h>
#include <antiphon/weights/load.h>

#include <chrono>

namespace antiphon::bench {
namespace {

using Clock = std::chrono::steady_clock;
using State = session::SessionState;
constexpr int64_t kPiece = 320;  // samples that arrive at once: 20 ms

double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// A model with all that a session needs. Members are in the order of dependence.
struct Listener {
  Listener(const SessionFlags& flags, bool ahead, VoiceActivity* vad)
      : model(loaded(flags, ahead)),
        prompts(opened(model->spec().llm)),
        cache("", {}),
        preparer(*model, prompts, cache, {}, model->context()),
        session(*model, preparer, prompts.tokenizer(), {.max_tokens = 48}, {}, vad, {}) {}

  static std::unique_ptr<model::MultimodalLm> loaded(const SessionFlags& flags, bool ahead) {
    auto root = config::load_toml(flags.recipe);
    config::apply_set(root, "model.streams.image.enabled=false");
    if (ahead) {
      config::apply_set(root, fmt::format("model.streams.audio.encoder.chunk={}", flags.chunk));
      config::apply_set(root, fmt::format("model.streams.audio.encoder.left_context={}", flags.left_context));
    }
    config::Problems problems;
    auto spec = model::model_table().parse(*root.find("model"), "model", problems);
    problems.throw_if_any();
    auto model = model::MultimodalLm::build(spec);
    model->load({at::kCPU, model::number_formats(flags.dtype, at::kCPU), 1});
    return model;
  }
  static text::PromptBuilder opened(const model::LanguageModelSpec& llm) {
    auto tokenizer = text::Tokenizer::load(llm.weights);
    auto chat_template = text::ChatTemplate::load(llm.chat_template.empty() ? llm.weights : llm.chat_template,
                                                  tokenizer.special_tokens());
    return {std::move(tokenizer), std::move(chat_template)};
  }

  // Seconds of work while the samples arrive; stops where a detector ends the turn.
  double listen(const std::vector<float>& samples) {
    double busy = 0;
    for (size_t at = 0; at < samples.size() && session.state() == State::listening; at += kPiece) {
      const auto begin = Clock::now();
      session.feed({samples.data() + at, std::min<size_t>(kPiece, samples.size() - at)});
      while (session.state() == State::listening && session.step()) {
      }
      busy += since(begin);
    }
    return busy;
  }
  // Seconds from the end of the turn until the first token is known.
  double first_token() {
    const auto begin = Clock::now();
    session.end_turn();
    session.step(), session.step();
    return since(begin);
  }

  std::unique_ptr<model::MultimodalLm> model;
  text::PromptBuilder prompts;
  data::FeatureCache cache;
  data::Preparer preparer;
  session::Session session;
};

std::vector<float> speech(const std::string& file, double seconds) {
  const auto once = media::load_audio(file, 16000).samples;
  std::vector<float> out(static_cast<size_t>(seconds * 16000));
  for (size_t i = 0; i < out.size(); ++i) out[i] = once[i % once.size()];
  return out;
}

std::unique_ptr<VoiceActivity> detector(const std::string& weights) {
  config::Problems problems;
  config::Value options = config::Value::Table{};
  auto found = model::build_slot<VoiceActivity>("silero", {weights, {}}, options, "vad", problems);
  problems.throw_if_any();
  found->module().set_requires_grad(false);
  weights::load_parameters(found->module(), weights::Checkpoint(weights), found->name_map());
  return found;
}

void text_turn(const SessionFlags& flags, Listener& listener) {
  std::vector<double> first, step;
  repeat(flags.repeats, [&] {
    listener.session.reset();
    listener.session.say("Tell me a story about the sea.");
    first.push_back(listener.first_token());
    const auto begin = Clock::now();
    int64_t tokens = 0;
    while (listener.session.state() == State::speaking) listener.session.step(), ++tokens;
    step.push_back(since(begin) / static_cast<double>(tokens));
  });
  emit("session_text", {{"dtype", flags.dtype}}, {{"first_token_s", first}, {"decode_step_s", step}});
}

void spoken_turn(const SessionFlags& flags, const std::string& way, Listener& listener, double seconds) {
  auto samples = speech(flags.sound, seconds);
  if (way == "detector") samples.resize(samples.size() + 2 * 16000);  // the silence that ends it
  std::vector<double> first, busy;
  repeat(flags.repeats, [&] {
    listener.session.reset();
    busy.push_back(listener.listen(samples) / seconds);
    first.push_back(listener.first_token());
  });
  emit("session_" + way, {{"dtype", flags.dtype}, {"seconds", seconds}, {"tokens", listener.session.tokens()}},
       {{"first_token_s", first}, {"busy_share", busy}});
}

}  // namespace

void session(const SessionFlags& flags) {
  const auto vad = detector(flags.detector);
  Listener ahead(flags, true, nullptr), hands_free(flags, true, vad.get()), after(flags, false, nullptr);
  text_turn(flags, ahead);
  for (const double seconds : flags.seconds) {
    spoken_turn(flags, "ahead", ahead, seconds);
    spoken_turn(flags, "detector", hands_free, seconds);
    spoken_turn(flags, "after", after, seconds);
  }
}

}  // namespace antiphon::bench
