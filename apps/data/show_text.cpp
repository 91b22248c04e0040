#include <data/show.h>

#include <fmt/format.h>

#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/text/unicode.h>
#include <data/visible.h>

namespace antiphon::apps {
namespace {

constexpr std::string_view kReset = "\033[0m", kContext = "\033[2m", kControl = "\033[2;35m", kMedia = "\033[36m";
// Two greens by turns, so that the borders of tokens can be seen.
constexpr std::string_view kSupervised[] = {"\033[30;42m", "\033[30;102m"};

std::string size_of(const MediaFacts& facts) {
  if (facts.modality == Modality::image) return fmt::format("{}x{}", facts.width, facts.height);
  return fmt::format("{:.2f} s", facts.seconds);
}

std::string media_mark(const Shown& sample, size_t i) {
  const auto& media = sample.prepared.media[i];
  if (media.is_prompt()) return fmt::format("[{} virtual tokens]", media.item.tokens);
  const auto& name = sample.names[i];
  const auto mark =
      fmt::format("[{} {}: {} {}]", media.stream, media.item.own_tokens(), shown(name), size_of(sample.facts[i]));
  const bool with_sound = i + 1 < sample.prepared.media.size() && sample.prepared.media[i + 1].within;
  return with_sound ? mark + media_mark(sample, i + 1) : mark;
}

// A supervised token, or a run of context; a character that is spread over tokens is not torn apart.
struct Piece {
  std::string bytes;
  bool supervised = false, control = false;
  int64_t media = -1;
};

bool goes_on(const std::vector<Piece>& pieces, bool supervised, bool control) {
  if (pieces.empty() || pieces.back().media >= 0) return false;
  const auto& last = pieces.back();
  const bool alike = last.supervised == supervised && !last.control && !control;
  return alike && (!supervised || text::incomplete_tail(last.bytes) > 0);
}

std::vector<Piece> pieces_of(const data::Prepared& prepared, const text::Tokenizer& tokenizer) {
  std::vector<Piece> pieces;
  size_t next = 0;
  for (int64_t i = 0; i < prepared.tokens(); ++i) {
    if (next < prepared.media.size() && prepared.media[next].position == i) {
      i += prepared.media[next].item.tokens - 1;
      pieces.push_back({"", false, false, static_cast<int64_t>(next++)});
      if (next < prepared.media.size() && prepared.media[next].within) ++next;
      continue;
    }
    const auto id = static_cast<int32_t>(prepared.ids[static_cast<size_t>(i)]);
    const bool supervised = prepared.supervised[static_cast<size_t>(i)], control = tokenizer.is_control(id);
    if (!goes_on(pieces, supervised, control)) pieces.push_back({"", supervised, control, -1});
    pieces.back().bytes += tokenizer.bytes_of(id);
  }
  return pieces;
}

std::string colored(std::string_view text, std::string_view color) {
  std::string out;
  for (const auto& line : split(text, '\n'))  // a colour that runs over a line end fills the terminal's whole line
    out += (line.empty() ? "" : fmt::format("{}{}{}", color, line, kReset)) + "\n";
  out.pop_back();
  return out;
}

std::string in_color(const Shown& sample, const std::vector<Piece>& pieces) {
  std::string out;
  size_t shade = 0;
  for (const auto& piece : pieces) {
    if (piece.media >= 0) {
      out += colored(media_mark(sample, static_cast<size_t>(piece.media)), kMedia);
    } else {
      const auto context = piece.control ? kControl : kContext;
      out += colored(visible(piece.bytes, true), piece.supervised ? kSupervised[shade++ % 2] : context);
    }
  }
  return out;
}

// A line end that closes a supervised span stays inside it; the mark moves before the break.
std::string with_marks(const Shown& sample, const std::vector<Piece>& pieces) {
  std::string out;
  bool open = false;
  const auto toggle = [&](bool supervised) {
    if (supervised == open) return;
    const bool broken = open && out.ends_with('\n');
    if (broken) out.pop_back();
    out += supervised ? "«" : "»";
    if (broken) out += '\n';
    open = supervised;
  };
  for (const auto& piece : pieces) {
    toggle(piece.supervised);
    out += piece.media >= 0 ? media_mark(sample, static_cast<size_t>(piece.media)) : visible(piece.bytes, true);
  }
  toggle(false);
  return out;
}

}  // namespace

std::string shown_text(const Shown& sample, const text::Tokenizer& tokenizer, bool color) {
  const auto pieces = pieces_of(sample.prepared, tokenizer);
  auto text = color ? in_color(sample, pieces) : with_marks(sample, pieces);
  return text.ends_with('\n') ? text : text + "\n";
}

}  // namespace antiphon::apps
