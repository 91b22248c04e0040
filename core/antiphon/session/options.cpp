#include <antiphon/session/options.h>

#include <antiphon/model/slot.h>

namespace antiphon::session {

const config::Table<SessionOptions>& session_table() {
  using O = SessionOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("session")
          .table("vad", &O::vad, model::voice_activity_slot(), "hears when somebody speaks")
          .field("threshold", &O::threshold, "probability from which a window is speech; silence is 0.15 below",
                 {.min = 0, .max = 1})
          .field("min_speech", &O::min_speech, "seconds of speech that begin a turn", {.min = 0, .max = 10})
          .field("end_silence", &O::end_silence, "seconds of silence that end it", {.min = 0, .max = 60})
          .field("pad", &O::pad, "seconds before and after the speech that belong to it", {.min = 0, .max = 10})
          .field("barge_in", &O::barge_in, "speech stops an answer; else what is said meanwhile is not heard")
          .field("system", &O::system, "a system message")
          .field("instruction", &O::instruction, "text after each spoken turn")
          .field("context", &O::context, "tokens that a conversation may have, at most the model's own",
                 {.min = 16, .max = 1 << 20}));
  return *table;
}

}  // namespace antiphon::session
