// What the positions of a row of the cache were computed from, and how much of a prompt it therefore holds.
#pragma once
#include <antiphon/data/prepare.h>

namespace antiphon::engine {

// Of one position: the id of a token of text, or the content of a medium's part and the place in it.
class PositionKey {
 public:
  static PositionKey of_token(int64_t id) { return PositionKey(static_cast<uint64_t>(id)); }
  static PositionKey of_media(uint64_t content, int64_t place);
  // The token, or -1 at a media position.
  int64_t token() const { return value_ & kMedia ? -1 : static_cast<int64_t>(value_); }
  bool operator==(const PositionKey&) const = default;

 private:
  static constexpr uint64_t kMedia = uint64_t{1} << 63;
  explicit PositionKey(uint64_t value) : value_(value) {}
  uint64_t value_;
};

std::vector<PositionKey> keys_of(const data::Prepared& prompt);
// How much of the prompt `held` gives: not its last token, whose hidden state is wanted, and whole parts of media.
int64_t shared_tokens(const std::vector<PositionKey>& held, const std::vector<PositionKey>& keys,
                      const data::Prepared& prompt);
// The prompt from a token on that shared_tokens() gave.
data::Prepared from(data::Prepared prompt, int64_t begin);

}  // namespace antiphon::engine
