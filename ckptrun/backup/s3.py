"""S3: large files in parts, which stay there when the upload is killed and are compared, not sent again, by the next one."""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ckptrun import errors
from ckptrun.backup.remote import RemotePlace, block, sentences

if TYPE_CHECKING:
    from ckptrun.backup.copying import Tell
    from ckptrun.backup.record import Part

PART = 16 << 20  # bytes; S3 takes at least 5 MiB
_MOST = 9000  # parts of one file; S3 takes 10,000
_AT_A_TIME = 4  # parts, over all files
_MD5 = re.compile(r"[0-9a-f]{32}")  # what an ETag is, unless the bucket encrypts with keys of its own


class S3Place(RemotePlace):
    """A prefix in a bucket."""

    def __init__(self, fs: Any, base: str, dest: str) -> None:
        super().__init__(fs, base, dest)
        self._threads = ThreadPoolExecutor(_AT_A_TIME)

    @sentences
    def write(self, home: str, name: str, data: bytes) -> None:
        """One small object; a bucket is never made."""
        self.fs.pipe_file(self.path(home, name), data)

    def send(self, fd: int, part: Part, path: str, tell: Tell) -> None:
        """One object, at once or in parts, and as the server says that it has it."""
        bucket, key, _ = self.fs.split_path(path)
        if part.size <= PART:
            data = block(fd, 0, part.size)
            said = self.fs.call_s3("put_object", Bucket=bucket, Key=key, Body=data)
            self.require(said, _md5(data), path)
            tell(part.size)
            return
        _Upload(self, fd, part, bucket, key).send(tell)

    def require(self, said: dict[str, Any], wanted: str, path: str) -> None:
        """Return if the server's ETag is the checksum of what was sent, or none that says anything.

        Raises:
            errors.IoFailure: something else arrived.
        """
        found = etag(said)
        if (
            _MD5.fullmatch(found.partition("-")[0])
            and found != wanted
            and "SSEKMSKeyId" not in said
            and "SSECustomerAlgorithm" not in said
        ):
            raise errors.IoFailure(f"{self.shown}: {path} arrived as something else: ETag {found} instead of {wanted}")

    def in_threads(self, act: Any, numbers: list[int]) -> list[str]:
        """What `act` says of each part, so many at a time."""
        return list(self._threads.map(act, numbers))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Upload:
    """One file in parts."""

    def __init__(self, place: S3Place, fd: int, part: Part, bucket: str, key: str) -> None:
        self._place, self._fd, self._part = place, fd, part
        self._where = {"Bucket": bucket, "Key": key}
        self._size = max(PART, -(-part.size // _MOST >> 20) << 20 or PART)
        self._id = ""
        self._there: dict[int, tuple[int, str]] = {}

    def send(self, tell: Tell) -> None:
        self._begin()
        count = -(-self._part.size // self._size)
        tags = self._place.in_threads(lambda number: self._one(number, tell), list(range(1, count + 1)))
        listed = [{"ETag": tag, "PartNumber": number} for number, tag in enumerate(tags, 1)]
        said = self._call("complete_multipart_upload", UploadId=self._id, MultipartUpload={"Parts": listed})
        sums = b"".join(bytes.fromhex(tag) for tag in tags if _MD5.fullmatch(tag))
        if len(sums) == 16 * count:
            self._place.require(said, f"{_md5(sums)}-{count}", self._where["Key"])

    def _begin(self) -> None:
        """Go on with the newest upload of this file that was not completed; older ones are given up."""
        bucket, key = self._where["Bucket"], self._where["Key"]
        said = self._place.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
        mine = sorted((each for each in said.get("Uploads") or () if each["Key"] == key), key=lambda each: each["Initiated"])
        for old in mine[:-1]:
            self._call("abort_multipart_upload", UploadId=old["UploadId"])
        if mine:
            self._id = mine[-1]["UploadId"]
            self._there = self._parts()
        else:
            self._id = self._call("create_multipart_upload")["UploadId"]

    def _parts(self) -> dict[int, tuple[int, str]]:
        found: dict[int, tuple[int, str]] = {}
        marker = 0
        while True:
            said = self._call("list_parts", UploadId=self._id, PartNumberMarker=marker)
            found |= {each["PartNumber"]: (each["Size"], etag(each)) for each in said.get("Parts") or ()}
            if not said.get("IsTruncated"):
                return found
            marker = int(said["NextPartNumberMarker"])

    def _one(self, number: int, tell: Tell) -> str:
        """One part; its ETag. What is there already, by size and checksum, is not sent."""
        at = (number - 1) * self._size
        data = block(self._fd, at, min(self._size, self._part.size - at))
        wanted = _md5(data)
        if self._there.get(number) != (len(data), wanted):
            said = self._call("upload_part", UploadId=self._id, PartNumber=number, Body=data)
            self._place.require(said, wanted, f"{self._where['Key']}, part {number}")
            wanted = etag(said)
        tell(len(data))
        return wanted

    def _call(self, method: str, **options: Any) -> dict[str, Any]:
        said: dict[str, Any] = self._place.fs.call_s3(method, **self._where, **options)
        return said


def etag(said: dict[str, Any]) -> str:
    """Without its quotes."""
    return str(said.get("ETag", "")).strip('"')


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
