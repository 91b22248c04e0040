#include <antiphon/component/token_kinds.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>

#include <utility>

namespace antiphon {
namespace {

thread_local std::shared_ptr<const TokenKinds> kinds_now;

}  // namespace

TokenChoice token_choice(const std::string& name) {
  if (name == "all") return TokenChoice::all;
  if (name == "media") return TokenChoice::media;
  if (name == "text") return TokenChoice::text;
  fail(ErrorKind::internal, "there are no tokens called '" + name + "'");
}

TokenKinds::TokenKinds(int64_t tokens, const at::Tensor& media_n) : tokens_(tokens) {
  if (media_n.size(0) == 0) {  // without a number that the host waits for, as steps that are recorded must be
    text_n_ = at::arange(tokens, media_n.options()), media_n_ = media_n;
    return;
  }
  const auto is_text = at::ones({tokens}, media_n.options().dtype(at::kBool)).index_fill_(0, media_n, 0);
  text_n_ = is_text.nonzero().squeeze(1);
  media_n_ = is_text.logical_not().nonzero().squeeze(1);
}

TokenKinds::TokenKinds(at::Tensor media_n, at::Tensor text_n)
    : tokens_(media_n.size(0) + text_n.size(0)), media_n_(std::move(media_n)), text_n_(std::move(text_n)) {}

std::shared_ptr<const TokenKinds> TokenKinds::alone(TokenChoice choice) const {
  const auto& rows = chosen(choice);
  const auto all = at::arange(rows.size(0), rows.options()), none = rows.narrow(0, 0, 0);
  const bool media = choice == TokenChoice::media;
  return std::shared_ptr<const TokenKinds>(new TokenKinds(media ? all : none, media ? none : all));
}

TokenKindScope::TokenKindScope(std::shared_ptr<const TokenKinds> kinds)
    : before_(std::exchange(kinds_now, std::move(kinds))) {}
TokenKindScope::~TokenKindScope() { kinds_now = std::move(before_); }
const std::shared_ptr<const TokenKinds>& TokenKindScope::now() { return kinds_now; }

}  // namespace antiphon
