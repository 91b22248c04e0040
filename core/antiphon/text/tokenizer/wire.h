// Reads a message in the wire format of Protocol Buffers, field by field, within its bytes.
// Source: protobuf.dev, "Encoding".
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <antiphon/base/error.h>

namespace antiphon::text {

class WireReader {
 public:
  // `where` leads messages: "tokenizer.model".
  WireReader(std::string_view bytes, std::string where) : rest_(bytes), where_(std::move(where)) {}

  // The next field, whose value one of the functions below reads or skips; false at the end. Config error if it is
  // malformed.
  bool next() {
    if (rest_.empty()) return false;
    const auto key = varint();
    field_ = key >> 3, type_ = static_cast<int>(key & 7);
    return true;
  }
  uint64_t field() const { return field_; }

  uint64_t integer() { return expect(0), varint(); }
  bool flag() { return integer() != 0; }
  float real() {
    expect(5);
    uint32_t bits = 0;
    std::memcpy(&bits, take(4).data(), 4);
    return std::bit_cast<float>(bits);
  }
  std::string_view bytes() {
    expect(2);
    return take(varint());
  }
  void skip() {
    if (type_ == 0)
      varint();
    else if (type_ == 2)
      take(varint());
    else
      take(type_ == 5 ? 4 : type_ == 1 ? 8 : refuse("has a field of a type that is not known"));
  }
  const std::string& where() const { return where_; }

 private:
  [[noreturn]] uint64_t refuse(const char* what) const {
    fail(ErrorKind::config, where_ + " " + what, "fetch the file again; it should be a SentencePiece model");
  }
  void expect(int type) const {
    if (type_ != type) refuse("has a field of another type than its name says");
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    refuse("has a number of more than 64 bits");
  }
  std::string_view take(uint64_t count) {
    if (count > rest_.size()) refuse("ends within a field");
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::string_view rest_;
  std::string where_;
  uint64_t field_ = 0;
  int type_ = 0;
};

}  // namespace antiphon::text
