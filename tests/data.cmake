# Readers of data sets under a fuzzer.
antiphon_fuzz(tar CORPUS fuzz/corpus/tar SOURCES component/record/tar base/error base/files base/paths base/shown base/strings)

# Records of each format, whose own examples are in the corpus, too.
set(formats alpaca captioned conversations interleaved lhotse_cut messages nemo_manifest preference_record)
list(TRANSFORM formats PREPEND record_formats/)
list(TRANSFORM formats PREPEND ../plugins/ OUTPUT_VARIABLE examples)
antiphon_fuzz(record CORPUS fuzz/corpus/record ${examples} PLUGINS ${formats} PRELUDE record_formats.h
  SOURCES component/record/content component/record/media_names component/record/pieces component/record/record_keys
    component/record/record_media component/record/tools component/record/turn_checks component/record/turns component/media_bytes
    component/media_item config/expectation config/keys config/path config/problems config/schema config/schema_leaves config/text
    config/to_json config/value base/base64 base/error base/files base/json base/names base/paths base/sample_time base/shown base/strings
    media/audio/wav_file)
