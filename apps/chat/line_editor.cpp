#include <chat/line_editor.h>

#if ANTIPHON_LIBEDIT
#include <histedit.h>
#endif
#include <unistd.h>

#include <iostream>

namespace antiphon::apps {

#if ANTIPHON_LIBEDIT

struct LineEditor::State {
  EditLine* editor = nullptr;  // none if the input is not a terminal
  History* history = nullptr;
  std::string prompt, file;

  // One of histedit's calls that take an event.
  template <class... Args>
  void tell_history(int operation, Args... args) {
    HistEvent event;
    ::history(history, &event, operation, args...);
  }
};

namespace {

constexpr int kHistory = 1000;  // lines

char* current_prompt(EditLine* editor) {
  void* prompt = nullptr;
  el_get(editor, EL_CLIENTDATA, &prompt);
  return static_cast<std::string*>(prompt)->data();
}

}  // namespace

LineEditor::LineEditor(const std::string& history) : state_(std::make_unique<State>()) {
  if (!isatty(STDIN_FILENO)) return;
  auto& s = *state_;
  s.file = history;
  s.editor = el_init("antiphon", stdin, stdout, stderr);
  s.history = history_init();
  s.tell_history(H_SETSIZE, kHistory);
  s.tell_history(H_SETUNIQUE, 1);
  if (!s.file.empty()) s.tell_history(H_LOAD, s.file.c_str());
  el_set(s.editor, EL_CLIENTDATA, &s.prompt);
  el_set(s.editor, EL_PROMPT, &current_prompt);
  el_set(s.editor, EL_EDITOR, "emacs");
  el_set(s.editor, EL_SIGNAL, 1);
  el_set(s.editor, EL_HIST, &::history, s.history);
  el_source(s.editor, nullptr);
}

LineEditor::~LineEditor() {
  auto& s = *state_;
  if (!s.editor) return;
  if (!s.file.empty()) s.tell_history(H_SAVE, s.file.c_str());
  history_end(s.history);
  el_end(s.editor);
}

bool LineEditor::terminal() const { return state_->editor != nullptr; }

std::optional<std::string> LineEditor::read(const std::string& prompt) {
  auto& s = *state_;
  std::string line;
  if (!s.editor) return std::getline(std::cin, line) ? std::optional(line) : std::nullopt;
  s.prompt = prompt;
  int count = 0;
  const char* text = el_gets(s.editor, &count);
  if (!text && count < 0) return line;  // a signal
  if (!text || count == 0) return std::nullopt;
  line.assign(text, static_cast<size_t>(count));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  if (!line.empty()) s.tell_history(H_ENTER, line.c_str());
  return line;
}

#else

struct LineEditor::State {};
LineEditor::LineEditor(const std::string&) : state_(std::make_unique<State>()) {}
LineEditor::~LineEditor() = default;
bool LineEditor::terminal() const { return isatty(STDIN_FILENO) == 1; }

std::optional<std::string> LineEditor::read(const std::string& prompt) {
  if (terminal()) std::cerr << prompt << std::flush;
  std::string line;
  return std::getline(std::cin, line) ? std::optional(line) : std::nullopt;
}

#endif

}  // namespace antiphon::apps
