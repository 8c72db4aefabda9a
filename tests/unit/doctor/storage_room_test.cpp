// What the tools of file systems print about quotas, and how much room is left of all of them.
#include "doctor/storage_room.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake_system.hpp"

namespace ferula {
namespace {

const std::string kWork = "/lustreFS/data/grp";

TEST(Quota, IsReadAsToolsPrintIt) {
  const auto lustre = parsed_quota("      /lustreFS 31500000000* 30000000000 31000000000 6d 100 0 20971520 -\n");
  ASSERT_TRUE(lustre);
  EXPECT_EQ(lustre->used_bytes, 31500000000.0 * 1024);
  EXPECT_EQ(lustre->limit_bytes, 30000000000.0 * 1024);
  EXPECT_EQ(lustre->limit_files, 20971520.0);
  EXPECT_TRUE(lustre->is_over);

  const auto network = parsed_quota(
      "Disk quotas for user ada (uid 1000): \n     Filesystem  blocks   quota   limit   grace   files   quota   limit "
      "  grace\nhead:/export/home  20971520  0 20971520       0    4242       0       0       0\n");
  ASSERT_TRUE(network);
  EXPECT_EQ(network->used_files, 4242.0);
  EXPECT_TRUE(network->is_over);

  EXPECT_FALSE(parsed_quota("Disk quotas for user ada (uid 1000): none\n"));
  EXPECT_FALSE(parsed_quota("quota: No filesystem with quota detected.\n"));
}

TEST(StorageRoom, IsThatOfTheTightestQuota) {
  FakeSystem system = FakeSystem::healthy();
  system.commands.at("lfs quota -q -g grp /lustreFS") = {0, "/lustreFS 1000 0 3000 - 7 0 0 -\n"};
  system.commands.at("lfs quota -q -p 1001 /lustreFS") = {0, "/lustreFS 1000 0 0 - 20 0 25 -\n"};

  const auto room = storage_room(system, kWork + "/runs/not/yet/there");

  ASSERT_TRUE(room);
  EXPECT_EQ(room->free.bytes, 2000 * 1024);
  EXPECT_EQ(room->bytes_limit, "the quota of group grp");
  EXPECT_EQ(room->free.files, 5);
  EXPECT_EQ(room->files_limit, "the quota of project 1001");
}

TEST(StorageRoom, IsThatOfTheFileSystemWithoutQuotas) {
  FakeSystem system = FakeSystem::healthy();
  system.commands.clear();

  const auto room = storage_room(system, kWork);

  ASSERT_TRUE(room);
  EXPECT_EQ(room->free.bytes, std::int64_t{1} << 40);
  EXPECT_EQ(room->bytes_limit, "the file system");
}

}  // namespace
}  // namespace ferula
