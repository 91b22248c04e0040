// How an image must be rotated and mirrored, according to its metadata. Internal: included by the .cpp files of this
// folder only.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace antiphon::media {

// A file's metadata, as its format stores it.
struct PictureNotes {
  std::string exif;  // a TIFF structure (Exif 2.3), with or without "Exif\0\0" before it
  std::string xmp;   // XML
};

// 1 to 8: the EXIF tag 0x0112, else XMP's tiff:Orientation; 1 if neither has a valid value. As Pillow's
// ImageOps.exif_transpose takes them: an EXIF tag with an invalid value hides XMP's.
int orientation_of(const PictureNotes& notes);

// The first value of a tag in the first directory of a TIFF structure, if it is a whole number, else 0; nothing if the
// tag is missing.
std::optional<uint64_t> tiff_tag(std::string_view tiff, uint64_t tag);

// The bytes of such a tag; empty if it is missing, not of bytes, or points outside.
std::string_view tiff_bytes(std::string_view tiff, uint64_t tag);

}  // namespace antiphon::media
