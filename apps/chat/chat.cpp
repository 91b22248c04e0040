// antiphon chat FILE: turns in a terminal, typed and spoken, on a session that keeps its key-value cache.
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/media/audio/microphone.h>
#include <antiphon/run/loaded_model.h>
#include <antiphon/run/voice_activity.h>
#include <antiphon/session/save.h>
#include <antiphon/session/session.h>
#include <chat/line_editor.h>
#include <common/answer.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

constexpr const char* kCommands =
    "  /image FILE   a picture for the next question\n"
    "  /audio FILE   a recording for the next question\n"
    "  /video FILE   a video for the next question\n"
    "  /record       speak: the answer comes after a pause, or after Enter\n"
    "  /adapter NAMES  methods of fine-tuning to use, with commas between them, or none, or all\n"
    "  /reset        begin anew\n"
    "  /save FILE    the conversation as a line of a data set\n"
    "  /help         this list\n"
    "  /quit         or Ctrl-D; Ctrl-C stops an answer";

struct ChatFlags {
  run::OpenOptions open;
  std::string history, microphone = "alsa:default";
};

std::atomic<bool> interrupted{false};
void on_interrupt(int) { interrupted = true; }

// Enter was pressed; what was typed with it is dropped.
bool enter_pressed() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (!isatty(STDIN_FILENO) || poll(&input, 1, 0) <= 0) return false;
  char typed[256];
  return ::read(STDIN_FILENO, typed, sizeof typed) >= 0;
}

class Chat {
 public:
  Chat(run::LoadedModel& loaded, VoiceActivity* vad, const ChatFlags& flags)
      : model_(loaded.writer()),
        microphone_(flags.microphone),
        hands_free_(vad != nullptr),
        weighed_(flags.open.weighs_adapters()),
        session_(model_, loaded.preparer, loaded.tokenizer(), loaded.config.generate, loaded.config.session, vad,
                 {[this](session::SessionState state) { on_state(state); },
                  [this](const std::string& text) { on_text(text); }}) {}

  // False at the end.
  bool take(const std::string& line) {
    if (line.starts_with('/')) return command(line);
    if (!line.empty()) session_.say(line);
    session_.end_turn();
    answer();
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  using State = session::SessionState;

  bool command(const std::string& line) {
    const auto space = line.find(' ');
    const auto name = line.substr(0, space);
    const auto argument = space == std::string::npos ? std::string() : std::string(trim(line.substr(space)));
    if (name == "/quit") return false;
    if (name == "/reset") {
      session_.reset();
    } else if (name == "/image" || name == "/audio" || name == "/video") {
      attach(name == "/image" ? Modality::image : name == "/audio" ? Modality::audio : Modality::video, argument);
    } else if (name == "/record") {
      record();
    } else if (name == "/adapter") {
      choose(argument);
    } else if (name == "/save") {
      if (argument.empty()) fail(ErrorKind::data, "no file is named", "/save FILE");
      session::save_conversation(session_.conversation(), argument);
      log::info("saved in " + shown(argument));
    } else {
      if (name != "/help") log::info(fmt::format("there is no {}; there are:", shown(name)));
      log::info(kCommands);
    }
    return true;
  }

  // What was said stays; it is read again.
  void choose(const std::string& names) {
    const auto all = model_.adapter_names();
    if (names.empty() || all.empty())
      fail(ErrorKind::config,
           fmt::format("methods of fine-tuning with names: {}", all.empty() ? "none" : join(all, ", ")),
           "/adapter NAME[,NAME], /adapter none or /adapter all");
    if (weighed_ || names.find('=') != std::string::npos)
      fail(ErrorKind::config, "weights of adapters hold for a whole chat", "start another one: --adapter NAME=WEIGHT");
    run::choose_adapters(model_, names);
    session_.read_again();
  }

  // It is encoded and read at once, while the question is typed.
  void attach(Modality modality, const std::string& path) {
    if (!path_exists(path, ErrorKind::data) || is_folder(path, ErrorKind::data))
      fail(ErrorKind::data, fmt::format("there is no file '{}'", path), fmt::format("/{} FILE", to_string(modality)));
    session_.attach({modality, path, {}});
    log::info(fmt::format("{} {} goes with the next question", to_string(modality), shown(path)));
    listen();
  }

  void listen() {
    while (session_.state() == State::listening && session_.step()) {
    }
  }

  void answer() {
    interrupted = false;
    while (session_.state() != State::listening) {
      session_.step();
      if (interrupted) session_.interrupt();
    }
  }

  // With a detector turn follows turn; Enter ends the turn, if somebody speaks, and the recording.
  void record() {
    if (session_.sample_rate() == 0)
      fail(ErrorKind::data, "the model has no stream for sound", "compose one with [model.streams.audio]");
    media::Microphone microphone(microphone_, session_.sample_rate());
    log::info(hands_free_ ? "listening; Enter ends it" : "listening; press Enter when you have spoken");
    interrupted = false;
    while (!microphone.ended() && !interrupted && !enter_pressed()) {
      const bool busy = session_.step();
      session_.feed(microphone.read(std::chrono::milliseconds(busy ? 0 : 20)));
    }
    if (interrupted && session_.state() == State::listening) return session_.drop_turn();
    if (interrupted) session_.interrupt();
    session_.end_turn();
    answer();
    if (heard_ == 0) log::info("nothing was heard");
    heard_ = 0;
  }

  void on_state(State state) {
    if (state == State::thinking) asked_ = first_ = Clock::now(), written_ = 0, ++heard_;
    if (state == State::listening && written_ >= 0) {
      write_answer("\n");
      report();
      written_ = -1;
    }
  }

  void on_text(const std::string& text) {
    if (written_++ == 0) first_ = Clock::now();
    write_answer(text);
  }

  void report() const {
    const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
    const double rest = seconds(Clock::now() - first_);
    log::info(
        fmt::format("[{} new tokens read, first word after {:.2f} s; {} pieces written{}; {} of {} held]",
                    session_.computed_after_turn(), seconds(first_ - asked_), written_,
                    written_ > 1 ? fmt::format(", {:.1f} a second", static_cast<double>(written_ - 1) / rest) : "",
                    session_.tokens(), session_.capacity()));
  }

  model::MultimodalLm& model_;
  std::string microphone_;
  bool hands_free_;
  bool weighed_;  // adapters have weights
  Clock::time_point asked_, first_;
  int64_t written_ = -1;  // pieces of the answer; -1: there is none
  int64_t heard_ = 0;     // turns of a recording
  session::Session session_;
};

int run(const ChatFlags& flags) {
  run::LoadedModel loaded(flags.open);
  loaded.load_for_inference(flags.open);
  const auto vad = run::open_voice_activity(loaded.config.session.vad);
  Chat chat(loaded, vad.get(), flags);
  LineEditor editor(flags.history);
  std::signal(SIGINT, on_interrupt);
  if (editor.terminal()) log::info(std::string("Ask, or:\n") + kCommands);
  for (bool open = true; open;) {
    const auto line = editor.read("\n> ");
    if (!line) break;
    try {
      open = chat.take(std::string(trim(*line)));
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::internal) throw;
      log::error(error.what());
    }
  }
  return 0;
}

std::string default_history() {
  const char* home = std::getenv("HOME");
  return home && *home ? std::string(home) + "/.antiphon_history" : std::string();
}

}  // namespace

void add_chat(CLI::App& program, Action& action) {
  auto* command =
      program.add_subcommand("chat", "talk with a model in the terminal, about pictures, recordings and videos");
  auto flags = std::make_shared<ChatFlags>();
  flags->history = default_history();
  add_open_options(*command, flags->open);
  add_checkpoint_flag(*command, flags->open);
  add_adapter_flag(*command, flags->open);
  command->add_option("--history", flags->history, "keeps the lines typed; '' for none")->capture_default_str();
  command->add_option("--microphone", flags->microphone, "what /record listens on: FORMAT:NAME of FFmpeg's devices")
      ->capture_default_str();
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
