// ModelProto of google/sentencepiece, src/sentencepiece_model.proto: field numbers and defaults.
#include <antiphon/text/tokenizer/piece_table.h>

#include <cmath>
#include <unordered_set>

#include <fmt/format.h>

#include <antiphon/base/strings.h>
#include <antiphon/text/tokenizer/vocabulary.h>
#include <antiphon/text/tokenizer/wire.h>

namespace antiphon::text {
namespace {

[[noreturn]] void refuse_model(const std::string& where, const std::string& what) {
  fail(ErrorKind::config, fmt::format("{}: {}", where, what),
       "take a Unigram or BPE model of SentencePiece, or save tokenizer.json with "
       "AutoTokenizer.from_pretrained(...).save_pretrained(...)");
}

Piece read_piece(std::string_view bytes, const std::string& where) {
  Piece piece;
  WireReader reader(bytes, where);
  while (reader.next()) {
    if (reader.field() == 1) {
      piece.text = reader.bytes();
    } else if (reader.field() == 2) {
      piece.score = reader.real();
    } else if (reader.field() == 3) {
      const auto kind = reader.integer();
      if (kind < 1 || kind > 6) refuse_model(where, fmt::format("a piece of the type {}", kind));
      piece.kind = static_cast<PieceKind>(kind);
    } else {
      reader.skip();
    }
  }
  if (piece.text.empty() || !is_utf8(piece.text) || !std::isfinite(piece.score))
    refuse_model(where, "a piece that is empty or not UTF-8, or whose score is not a number");
  return piece;
}

int64_t id_in(WireReader& reader) { return static_cast<int32_t>(reader.integer()); }

void read_trainer(WireReader reader, PieceTable& table) {
  while (reader.next()) {
    switch (reader.field()) {
      case 3: {
        const auto type = reader.integer();
        if (type != 1 && type != 2) refuse_model(reader.where(), "a model of words or characters");
        table.unigram = type == 1;
        break;
      }
      case 24:
        if (reader.flag()) refuse_model(reader.where(), "white space as a suffix");
        break;
      case 35: table.byte_fallback = reader.flag(); break;
      case 41: table.bos = id_in(reader); break;
      case 42: table.eos = id_in(reader); break;
      case 43: table.pad = id_in(reader); break;
      case 44: table.unknown_surface = reader.bytes(); break;
      default: reader.skip();
    }
  }
}

void read_normalizer(WireReader reader, PieceTable& table) {
  while (reader.next()) {
    if (reader.field() == 2)
      table.charsmap = reader.bytes();
    else if (reader.field() == 3)
      table.add_dummy_prefix = reader.flag();
    else if (reader.field() == 4)
      table.remove_extra_whitespaces = reader.flag();
    else if (reader.field() == 5)
      table.escape_whitespaces = reader.flag();
    else
      reader.skip();
  }
}

void refuse_denormalizer(WireReader reader) {
  while (reader.next()) {
    if (reader.field() != 2)
      reader.skip();
    else if (!reader.bytes().empty())
      refuse_model(reader.where(), "a table of replacements for decoding");
  }
}

void check_pieces(const PieceTable& table, const std::string& where) {
  std::unordered_set<std::string_view> seen;
  for (const auto& piece : table.pieces)
    if (!seen.insert(piece.text).second)
      refuse_model(where, fmt::format("the piece \"{}\" is there twice", piece.text));
  if (table.pieces.empty()) refuse_model(where, "no pieces");
  if (!is_utf8(table.unknown_surface)) refuse_model(where, "an unknown surface that is not UTF-8");
}

}  // namespace

PieceTable read_sentencepiece(std::string_view bytes, const std::string& where) {
  PieceTable table;
  WireReader reader(bytes, where);
  while (reader.next()) {
    if (reader.field() == 1) {
      if (table.pieces.size() >= static_cast<size_t>(kMaxTokenId)) refuse_model(where, "more pieces than ids");
      table.pieces.push_back(read_piece(reader.bytes(), fmt::format("{}: pieces[{}]", where, table.pieces.size())));
    } else if (reader.field() == 2) {
      read_trainer({reader.bytes(), where + ": trainer_spec"}, table);
    } else if (reader.field() == 3) {
      read_normalizer({reader.bytes(), where + ": normalizer_spec"}, table);
    } else if (reader.field() == 5) {
      refuse_denormalizer({reader.bytes(), where + ": denormalizer_spec"});
    } else {
      reader.skip();
    }
  }
  check_pieces(table, where);
  return table;
}

}  // namespace antiphon::text
