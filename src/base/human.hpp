// Numbers as people read them: bytes, counts and durations for lines, tables and messages.
#pragma once

#include <cstdint>
#include <string>

namespace ferula {

/// Three significant digits in the binary unit that fits: "512 B", "1.50 KiB", "96.0 MiB", "1.25 GiB".
std::string human_bytes(std::int64_t bytes);
/// Bytes always in GiB with two digits: "0.42 GiB", the form of the progress line.
std::string human_gibibytes(std::int64_t bytes);
/// Three significant digits with a decimal suffix: "7", "999", "10.9k", "4.83M", "1.10B".
std::string human_count(double count);
/// Whole seconds as m:ss or h:mm:ss, days first where there are some: "0:08", "1:02:03", "2d 3:00:00".
/// A negative, infinite or undefined duration is "-".
std::string human_duration(double seconds);
/// The word as a shell takes it: in quotes where it has to be.
std::string shell_word(const std::string& word);

}  // namespace ferula
