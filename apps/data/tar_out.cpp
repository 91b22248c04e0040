#include <data/tar_out.h>

#include <fmt/format.h>

namespace antiphon::apps {
namespace {

constexpr size_t kBlock = 512, kName = 100;

std::string header(const std::string& name, char type, uint64_t size) {
  std::string block(kBlock, '\0');
  const auto put = [&](size_t at, const std::string& text) { block.replace(at, text.size(), text); };
  put(0, name), put(100, "0000644"), put(108, "0000000"), put(116, "0000000"), put(124, fmt::format("{:011o}", size));
  put(136, "00000000000"), put(148, "        "), put(156, std::string(1, type));
  put(257, std::string("ustar\0", 6) + "00");
  unsigned sum = 0;
  for (const unsigned char c : block) sum += c;
  put(148, fmt::format("{:06o}", sum) + '\0');
  return block;
}

}  // namespace

void TarOut::write(const std::string& name, std::string_view bytes) {
  if (name.size() >= kName) write_member("././@LongLink", 'L', name + '\0');
  write_member(name.substr(0, kName - 1), '0', bytes);
}

void TarOut::write_member(const std::string& name, char type, std::string_view bytes) {
  out_.write(header(name, type, bytes.size()));
  out_.write(bytes);
  out_.write(std::string((kBlock - bytes.size() % kBlock) % kBlock, '\0'));
}

void TarOut::close() {
  out_.write(std::string(2 * kBlock, '\0'));
  out_.close();
}

}  // namespace antiphon::apps
