// What is asked about recordings whose records have no question of their own.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <antiphon/component/record/turns.h>

namespace antiphon::nemo_manifest {

using records::Json;
using records::Record;

struct NemoOptions {
  std::string context = "Transcribe the audio.", context_file;
  std::string context_key, answer_key, audio_mark;
};

class Questions {
 public:
  // Error(data) if the file of questions is missing or holds none.
  explicit Questions(const NemoOptions& options);
  // The keys that hold a question or an answer; the first that a record has counts.
  const std::vector<std::string>& question_keys() const { return question_keys_; }
  const std::vector<std::string>& answer_keys() const { return answer_keys_; }
  // Its own, else one of the file's by the record and `draw` (MediaFolder::draw); else `context`.
  std::string question_of(const Json& record, uint64_t draw) const;
  // Error(data) if it has none.
  std::string answer_of(const Json& record) const;
  // Of the file's questions; "" without one.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  std::string context_, fingerprint_;
  std::vector<std::string> lines_, question_keys_, answer_keys_;
};

}  // namespace antiphon::nemo_manifest
