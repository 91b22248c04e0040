// A half-duplex session: it listens, then answers. While somebody speaks, the encoder and the language model are
// already at work on what has come, so that an answer begins at once, however long the turn was. `antiphon chat` and
// servers drive it: they hand in what arrives and call step() until there is nothing to do. No thread of its own.
#pragma once
#include <functional>
#include <memory>

#include <antiphon/session/conversation.h>
#include <antiphon/session/live_sound.h>
#include <antiphon/session/turn_detector.h>

namespace antiphon::session {

enum class SessionState { listening, thinking, speaking };

struct SessionEvents {
  std::function<void(SessionState)> on_state = {};
  std::function<void(const std::string&)> on_text = {};  // of the answer, as it comes; whole UTF-8 characters
};

class Session {
 public:
  // All must outlive it. `vad` may be null: then every sample belongs to the turn, and turns end by command.
  Session(model::MultimodalLm& model, const data::Preparer& preparer, const text::Tokenizer& tokenizer,
          const engine::GenerateOptions& generate, const SessionOptions& options, VoiceActivity* vad,
          SessionEvents events);

  // --- what arrives -------------------------------------------------------------------------------------------------
  // Text, images, recordings and videos of the turn, in the order in which they come. Error(data) if one cannot be
  // read; the turn is then unchanged. While the session answers, they interrupt it.
  void say(const std::string& text);
  void attach(const MediaRef& ref);
  // Mono samples at sample_rate(), any number. Quick: the work is done by step(). Error(data) if the model has no
  // stream for sound. While the session answers, speech interrupts it (barge_in), and all else is dropped.
  void feed(std::span<const float> samples);
  // The turn ends, whatever the detector says. An empty turn is not a turn.
  void end_turn();
  // The answer ends here; what was said of it stays in the conversation.
  void interrupt();
  // Drops the turn that is being made.
  void drop_turn();
  // Forgets everything.
  void reset();
  // The model computes otherwise now: what was said stays and is read again; a turn that is being made is dropped, and
  // everything is forgotten if encoders may give other features.
  void read_again();

  // --- what is done with it -----------------------------------------------------------------------------------------
  // One piece of work: a chunk of sound, a prompt, a token. False if there is none. Error(data) if the conversation is
  // full; the turn is then dropped.
  bool step();
  SessionState state() const { return state_; }
  // 0: the model has no stream for sound.
  int64_t sample_rate() const;
  // The turns so far; media that were never a file are in MediaRef::item.
  const Sample& conversation() const { return said_; }
  int64_t tokens() const { return cache_.length(); }
  int64_t capacity() const { return cache_.capacity(); }
  // Tokens that the last turn had to compute after it had ended.
  int64_t computed_after_turn() const { return computed_after_turn_; }

 private:
  void enter(SessionState state);
  void begin_turn();
  void hear(std::span<const float> window, SpeechEvent event);
  void hear_turn(std::span<const float> window, SpeechEvent event);
  void open_sound();
  void close_sound();
  int64_t prefill();
  bool listen();
  void think();
  void speak();
  void finish_answer();

  model::MultimodalLm& model_;
  const data::Preparer& preparer_;
  const text::Tokenizer& tokenizer_;
  engine::GenerateOptions generate_;
  SessionOptions options_;
  SessionEvents events_;
  Conversation cache_;
  std::unique_ptr<TurnDetector> detector_;
  SessionState state_ = SessionState::listening;
  Sample said_;                           // with the turn that is being made, if it has begun
  std::vector<model::BatchMedia> media_;  // of said_.media, encoded
  bool turn_open_ = false;
  size_t turn_media_ = 0;             // where its media begin
  bool changed_ = false;              // the prompt, since the cache was brought to it
  bool end_read_ = false;             // the cache holds the sound up to where it would end
  std::unique_ptr<LiveSound> sound_;  // of the turn that is being made
  size_t sound_index_ = 0;            // in said_.media
  int64_t sounds_ = 0, computed_after_turn_ = 0;
  std::vector<float> before_;  // the last samples before speech began
  std::unique_ptr<engine::AnswerText> writing_;
  std::string answer_;
};

}  // namespace antiphon::session
