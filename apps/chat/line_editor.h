// Lines typed at a terminal, with editing and history (libedit), or read from a file.
#pragma once
#include <memory>
#include <optional>
#include <string>

namespace antiphon::apps {

class LineEditor {
 public:
  // `history`: a file that keeps the lines of earlier sessions; empty: none.
  explicit LineEditor(const std::string& history);
  ~LineEditor();
  // The next line without its line end; nothing at the end of input. An interrupted line (Ctrl-C) is "".
  std::optional<std::string> read(const std::string& prompt);
  bool terminal() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace antiphon::apps
