// antiphon chat FILE: turns in a terminal; the key-value cache is kept between them.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>
#include <antiphon/infer/conversation.h>
#include <chat/line_editor.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

constexpr const char* kCommands =
    "  /image FILE   a picture for the next question\n"
    "  /audio FILE   a recording for the next question\n"
    "  /reset        begin anew\n"
    "  /save FILE    the conversation as a line of a data set\n"
    "  /help         this list\n"
    "  /quit         or Ctrl-D; Ctrl-C stops an answer\n";

struct ChatFlags {
  SessionFlags session;
  std::string checkpoint, system, history;
  int64_t context = 4096;
};

std::atomic<bool> interrupted{false};
void on_interrupt(int) { interrupted = true; }

class Chat {
 public:
  Chat(Session& session, const ChatFlags& flags)
      : session_(session), conversation_(*session.model, flags.context), system_(flags.system) {
    reset();
  }

  // False at the end.
  bool take(const std::string& line) {
    if (line.empty() && pending_.empty()) return true;
    if (line.starts_with('/')) return command(line);
    ask(line);
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  void reset() {
    sample_ = {};
    sample_.id = "chat";
    pending_.clear();
    if (!system_.empty()) sample_.turns.push_back({"system", {{system_}}});
    conversation_.reset();
  }

  bool command(const std::string& line) {
    const auto space = line.find(' ');
    const auto name = line.substr(0, space);
    const auto argument = space == std::string::npos ? std::string() : std::string(trim(line.substr(space)));
    if (name == "/quit") return false;
    if (name == "/reset") {
      reset();
    } else if (name == "/image" || name == "/audio") {
      attach(name == "/image" ? Modality::image : Modality::audio, argument);
    } else if (name == "/save") {
      save(argument);
    } else {
      if (name != "/help") fmt::print(stderr, "there is no {}; there are:\n", name);
      fmt::print(stderr, "{}", kCommands);
    }
    return true;
  }

  void attach(Modality modality, const std::string& path) {
    if (!std::filesystem::exists(path))
      fail(ErrorKind::data, fmt::format("there is no file '{}'", path), fmt::format("/{} FILE", to_string(modality)));
    session_.model->stream_for(modality);
    pending_.push_back({modality, path, {}});
    fmt::print(stderr, "{} {} goes with the next question\n", to_string(modality), path);
  }

  void ask(const std::string& text) {
    const auto before = sample_;
    data::SampleTurn turn{"user", {}};
    for (const auto& media : pending_) {
      turn.parts.push_back({{}, static_cast<int64_t>(sample_.media.size())});
      sample_.media.push_back(media);
    }
    if (!text.empty()) turn.parts.push_back({text});
    sample_.turns.push_back(std::move(turn));
    try {
      answer();
      pending_.clear();
    } catch (const Error&) {
      sample_ = before;  // the question was not asked
      throw;
    }
  }

  void answer() {
    const auto begin = Clock::now();
    const auto computed = conversation_.prefill(session_.preparer.prepare(sample_, data::Purpose::generation));
    auto first = Clock::now();
    text::StreamDecoder decoder(session_.tokenizer());
    std::string said;
    const auto write = [&](const std::string& text) {
      said += text;
      std::fwrite(text.data(), 1, text.size(), stdout);
      std::fflush(stdout);
    };
    interrupted = false;
    size_t tokens = 0;
    const auto ids = conversation_.answer(session_.config.generate, session_.tokenizer().eos_ids(), [&](int32_t id) {
      if (tokens++ == 0) first = Clock::now();
      write(decoder.push(id));
      return !interrupted;
    });
    write(decoder.finish());
    fmt::print("\n");
    std::fflush(stdout);
    sample_.turns.push_back({"assistant", {{said}}});
    report(computed, ids.size(), begin, first);
  }

  void report(int64_t computed, size_t tokens, Clock::time_point begin, Clock::time_point first) {
    const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
    const double rest = seconds(Clock::now() - first);
    log::info(fmt::format("[{} new tokens read, first word after {:.2f} s; {} written{}; {} of {} held]", computed,
                          seconds(first - begin), tokens,
                          tokens > 1 ? fmt::format(", {:.1f} a second", static_cast<double>(tokens - 1) / rest) : "",
                          conversation_.length(), conversation_.capacity()));
  }

  // One line of the layout "messages", which training and evaluation read.
  void save(const std::string& path) {
    if (path.empty()) fail(ErrorKind::data, "no file is named", "/save FILE");
    auto messages = nlohmann::json::array();
    for (const auto& turn : sample_.turns) {
      auto content = nlohmann::json::array();
      for (const auto& part : turn.parts) {
        if (part.media < 0) {
          content.push_back({{"type", "text"}, {"text", part.text}});
          continue;
        }
        const auto& media = sample_.media[static_cast<size_t>(part.media)];
        const std::string kind(to_string(media.modality));
        content.push_back({{"type", kind}, {kind, std::filesystem::absolute(media.path).string()}});
      }
      messages.push_back({{"role", turn.role}, {"content", content}});
    }
    const auto line = nlohmann::json{{"id", sample_.id}, {"messages", messages}}.dump(
        -1, ' ', false, nlohmann::json::error_handler_t::replace);
    write_file_atomic(path, line + "\n", ErrorKind::data);
    fmt::print(stderr, "saved in {}\n", path);
  }

  Session& session_;
  infer::Conversation conversation_;
  std::string system_;
  data::Sample sample_;
  std::vector<data::MediaRef> pending_;
};

int run(const ChatFlags& flags) {
  Session session(flags.session);
  if (std::filesystem::is_directory(flags.session.file) || !flags.checkpoint.empty())
    session.load_checkpoint(flags.checkpoint.empty() ? flags.session.file : flags.checkpoint);
  Chat chat(session, flags);
  LineEditor editor(flags.history);
  std::signal(SIGINT, on_interrupt);
  if (editor.terminal()) fmt::print(stderr, "\nAsk, or:\n{}", kCommands);
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
  auto* command = program.add_subcommand("chat", "talk with a model in the terminal, about pictures and recordings");
  auto flags = std::make_shared<ChatFlags>();
  flags->history = default_history();
  add_session_flags(*command, flags->session);
  command->add_option("--system", flags->system, "a system message");
  command->add_option("--context", flags->context, "tokens that a conversation may have")
      ->check(CLI::Range(16, 1 << 20))
      ->capture_default_str();
  command->add_option("--history", flags->history, "keeps the lines typed; '' for none")->capture_default_str();
  command->add_option(
      "--checkpoint", flags->checkpoint,
      "trained parameters: a run folder or one checkpoint; default: those of the run, where FILE is one");
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
