#include "questions.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

namespace antiphon::nemo_manifest {
namespace {

constexpr uint64_t kMostBytes = 64 << 20;  // of a file of questions

std::vector<std::string> lines_of(const std::string& path) {
  const auto bytes = read_file(path, ErrorKind::data, kMostBytes);
  if (!is_utf8(bytes)) fail(ErrorKind::data, shown(path) + ", the file of questions, is not valid UTF-8");
  std::vector<std::string> lines;
  for (const auto& line : split(bytes, '\n'))
    if (const auto text = trim(line); !text.empty()) lines.emplace_back(text);
  if (lines.empty())
    fail(ErrorKind::data, shown(path) + ", the file of questions, holds none", "write one on each line");
  return lines;
}

std::vector<std::string> keys_or(const std::string& key, std::vector<std::string> usual) {
  return key.empty() ? std::move(usual) : std::vector{key};
}

const std::string* text_under(const Json& record, const std::vector<std::string>& keys) {
  for (const auto& key : keys)
    if (records::is_there(record, key)) return &records::text_of(record, key.c_str(), "the record");
  return nullptr;
}

}  // namespace

Questions::Questions(const NemoOptions& options)
    : context_(options.context),
      question_keys_(keys_or(options.context_key, {"context", "question"})),
      answer_keys_(keys_or(options.answer_key, {"answer", "text"})) {
  if (options.context_file.empty()) return;
  lines_ = lines_of(options.context_file);
  // Runs that asked the same in each epoch do not go on unnoticed.
  fingerprint_ = content_hash("each epoch\n" + join(lines_, "\n"));
}

std::string Questions::question_of(const Json& record, uint64_t draw) const {
  if (const auto* own = text_under(record, question_keys_)) return *own;
  if (lines_.empty()) return context_;
  const auto number = std::stoull(content_hash(record.dump()).substr(0, 15), nullptr, 16);
  return lines_[(number + draw) % lines_.size()];
}

std::string Questions::answer_of(const Json& record) const {
  if (const auto* answer = text_under(record, answer_keys_)) return *answer;
  fail(ErrorKind::data, fmt::format("the record has no text under '{}'", join(answer_keys_, "' or '")),
       "write the transcript under 'text', or name its key: format_options = { answer_key = \"…\" }");
}

}  // namespace antiphon::nemo_manifest
