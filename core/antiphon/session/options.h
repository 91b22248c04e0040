// The [session] part of a configuration.
#pragma once
#include <string>

#include <antiphon/config/schema.h>
#include <antiphon/model/model_spec.h>

namespace antiphon::session {

// How a session takes turns. Times in seconds.
struct SessionOptions {
  model::ComponentSpec vad;  // without a plugin, turns end by command
  double threshold = 0.5, min_speech = 0.1, end_silence = 0.6, pad = 0.2;
  bool barge_in = true;
  std::string system, instruction;
  int64_t context = 4096;
};

const config::Table<SessionOptions>& session_table();

}  // namespace antiphon::session
