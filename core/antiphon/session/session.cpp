#include <antiphon/session/session.h>

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/model/sound_rate.h>

#include <algorithm>

namespace antiphon::session {

Session::Session(model::MultimodalLm& model, const data::Preparer& preparer, const text::Tokenizer& tokenizer,
                 const engine::GenerateOptions& generate, const SessionOptions& options, VoiceActivity* vad,
                 SessionEvents events)
    : model_(model),
      preparer_(preparer),
      tokenizer_(tokenizer),
      generate_(generate),
      options_(options),
      events_(std::move(events)),
      cache_(model, options.context, generate, tokenizer) {
  if (vad) detector_ = std::make_unique<TurnDetector>(*vad, options, sample_rate());
  reset();
}

void Session::reset() {
  said_ = {};
  said_.id = "session";
  if (!options_.system.empty()) said_.turns.push_back({"system", {{options_.system}}});
  media_.clear(), before_.clear(), sound_.reset();
  turn_open_ = changed_ = false;
  answer_.clear();
  cache_.reset();
  if (detector_) detector_->reset();
  enter(SessionState::listening);
}

void Session::read_again() {
  interrupt();
  drop_turn();
  cache_.renew(model_);
  const bool encoded = std::ranges::any_of(model_.pefts(), [](const auto& peft) {
    return !peft.name.empty() && peft.owner_kind == model::PartKind::encoder;
  });
  if (encoded && !media_.empty()) reset();
}

int64_t Session::sample_rate() const { return model::sound_rate(model_); }

void Session::enter(SessionState state) {
  if (state == std::exchange(state_, state) || !events_.on_state) return;
  events_.on_state(state);
}

void Session::begin_turn() {
  if (state_ != SessionState::listening) interrupt();
  if (std::exchange(turn_open_, true)) return;
  turn_media_ = said_.media.size();
  said_.turns.push_back({"user", {}});
}

void Session::drop_turn() {
  if (!std::exchange(turn_open_, false)) return;
  said_.turns.pop_back();
  said_.media.resize(turn_media_), media_.resize(turn_media_);
  sound_.reset();
  changed_ = false;
}

void Session::say(const std::string& text) {
  begin_turn();
  said_.turns.back().parts.push_back({text});
  changed_ = true;
}

void Session::attach(const MediaRef& ref) {
  c10::InferenceMode inference;
  Sample one;
  one.turns.push_back({"user", {{{}, 0}}});
  one.media.push_back(ref);
  one = preparer_.expanded(one);
  std::vector<model::BatchMedia> read;
  for (const auto& item : one.media) {
    read.push_back(with_context("reading " + shown(item.bytes.name()), [&] { return preparer_.read(item, said_.id); }));
    auto& stream = *model_.streams().at(read.back().stream);
    stream.encode({&read.back().item}, model_.compute_dtype(), model_.device());
    read.back().item.inputs.clear();
  }
  begin_turn();
  const auto keep = [&](int64_t& medium) {
    if (medium < 0) return;
    const auto index = static_cast<size_t>(std::exchange(medium, std::ssize(said_.media)));
    said_.media.push_back(one.media[index]);
    media_.push_back(std::move(read[index]));
  };
  for (auto& part : one.turns.back().parts) {
    keep(part.media), keep(part.sound);
    said_.turns.back().parts.push_back(std::move(part));
  }
  changed_ = true;
}

void Session::open_sound() {
  begin_turn();
  sound_ = std::make_unique<LiveSound>(model_, fmt::format("sound {}", sounds_++));
  sound_index_ = said_.media.size();
  said_.turns.back().parts.push_back({{}, static_cast<int64_t>(sound_index_)});
  said_.media.push_back({Modality::audio, fmt::format("sound-{}.wav", sounds_), {}});
  media_.emplace_back();
}

// From here on it is a medium like any other.
void Session::close_sound() {
  if (!sound_) return;
  sound_->close();
  media_[sound_index_] = sound_->media();
  said_.media[sound_index_].item = std::make_shared<const MediaItem>(sound_->sound());
  said_.media[sound_index_].content = media_[sound_index_].content;
  if (!options_.instruction.empty()) said_.turns.back().parts.push_back({options_.instruction});
  sound_.reset();
  changed_ = true;
}

void Session::feed(std::span<const float> samples) {
  if (sample_rate() == 0)
    fail(ErrorKind::data, "the model has no stream for sound", "add [model.streams.audio] to its configuration");
  if (detector_) return detector_->feed(samples, [this](auto window, SpeechEvent event) { hear(window, event); });
  if (state_ != SessionState::listening || samples.empty()) return;
  if (!sound_) open_sound();
  sound_->add(samples);
}

void Session::hear(std::span<const float> window, SpeechEvent event) {
  if (sound_) return hear_turn(window, event);
  before_.insert(before_.end(), window.begin(), window.end());
  const bool deaf = state_ != SessionState::listening && !options_.barge_in;
  if (event == SpeechEvent::began && !deaf) {
    open_sound();
    sound_->add(std::exchange(before_, {}));
  }
  const auto kept =
      static_cast<size_t>((options_.pad + options_.min_speech) * static_cast<double>(sample_rate())) + window.size();
  if (before_.size() > kept) before_.erase(before_.begin(), before_.end() - static_cast<long>(kept));
}

void Session::hear_turn(std::span<const float> window, SpeechEvent event) {
  const auto pad = static_cast<int64_t>(options_.pad * static_cast<double>(sample_rate()));
  if (event == SpeechEvent::paused) sound_->set_end(sound_->samples() + pad);
  if (event == SpeechEvent::resumed) sound_->clear_end();
  if (event == SpeechEvent::began && options_.barge_in) {  // again, before the answer has begun: the turn goes on
    sound_->clear_end();
    enter(SessionState::listening);
  }
  sound_->add(window);
  if (event == SpeechEvent::ended) enter(SessionState::thinking);
}

void Session::end_turn() {
  if (state_ != SessionState::listening || !turn_open_) return;
  if (detector_) detector_->reset();
  enter(SessionState::thinking);
}

int64_t Session::prefill() {
  changed_ = false;
  auto sample = said_;
  if (sound_) {
    auto& parts = sample.turns.back().parts;
    media_[sound_index_] = sound_->media();
    if (media_[sound_index_].item.tokens == 0)
      std::erase_if(parts, [&](const auto& part) { return part.media == static_cast<int64_t>(sound_index_); });
    // From the first chunk on, so that nothing is left to read once the turn ends.
    if (!options_.instruction.empty()) parts.push_back({options_.instruction});
  }
  return cache_.prefill(
      preparer_.prepare_with(sample, data::Purpose::generation, [&](size_t index) { return media_[index]; }));
}

bool Session::listen() {
  if (!turn_open_) return false;
  if (sound_) {
    const bool chunk = sound_->encode_chunk();
    changed_ |= chunk || (sound_->end_has_come() && !std::exchange(end_read_, true));
    if (!sound_->end_has_come()) end_read_ = false;
  }
  if (!changed_) return false;
  prefill();
  return true;
}

void Session::think() {
  close_sound();
  computed_after_turn_ = prefill();
  cache_.begin_answer(generate_, tokenizer_.eos_ids());
  writing_ = std::make_unique<engine::AnswerText>(tokenizer_, generate_.stop);
  answer_.clear();
  turn_open_ = false;
  enter(SessionState::speaking);
}

void Session::speak() {
  const auto id = cache_.next();
  const auto text = id ? writing_->push(*id) : writing_->finish();
  answer_ += text;
  if (!text.empty() && events_.on_text) events_.on_text(text);
  if (!id) finish_answer();
}

void Session::finish_answer() {
  cache_.end_answer();
  said_.turns.push_back({"assistant", {{answer_}}});
  said_.turns.back().label = preparer_.asked();
  enter(SessionState::listening);
}

void Session::interrupt() {
  if (state_ == SessionState::speaking) finish_answer();
  if (state_ == SessionState::thinking) enter(SessionState::listening);
}

bool Session::step() {
  try {
    switch (state_) {
      case SessionState::listening: return listen();
      case SessionState::thinking: think(); return true;
      case SessionState::speaking: speak(); return true;
    }
  } catch (const Error&) {
    if (state_ == SessionState::speaking) finish_answer();
    drop_turn();
    enter(SessionState::listening);
    throw;
  }
  return false;
}

}  // namespace antiphon::session
