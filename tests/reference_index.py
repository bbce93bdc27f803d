"""The directory index written plainly: a B-tree of Python objects. The reference for `clonesim.guest.index_kernel`.

Rules: docs/volume-model.md, section "The directory".
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

BLOCK_BYTES = 4096
BLOCK_ROOM = 4096 - 24  # header and entries of a block
ROOT_MOST = 552  # bytes that the root's node may have in its 1 KiB MFT record


def entry_bytes(file: Any) -> int:
    """16 B header, 66 B of $FILE_NAME, two bytes a UTF-16 unit of the name, rounded up to 8. [B]"""
    return -(-(16 + 66 + 2 * file.units) // 8) * 8


def order(file: Any) -> tuple[Any, int]:
    """What entries are sorted by."""
    return file.codes, file.record


class Node:
    """An index block, or the root (block number None): n entries and n + 1 children (None: no child)."""

    def __init__(self, number: int | None, files: list[Any], children: list[Node | None]) -> None:
        self.number, self.files, self.children = number, files, children

    @property
    def bytes(self) -> int:
        """Bytes that header, entries, children and the end entry take. [B]"""
        head = 16 if self.number is None else 40
        children = sum(8 for child in self.children if child is not None)
        return head + sum(entry_bytes(f) for f in self.files) + 16 + children


class ReferenceIndex:
    """The root directory.

    `write_root()` and `write_block(number)` are called for what goes to disk, in order.
    """

    def __init__(self, files: list[Any], write_root: Any, write_block: Any) -> None:
        self.write_root, self.write_block = write_root, write_block
        first = Node(0, sorted(files, key=order), [None] * (len(files) + 1))
        self.root = Node(None, [], [first])
        self.root_room = self.root.bytes
        self.used = {0}
        self.splits = self.drops = 0  # for tests: what was reached

    # --- blocks ---------------------------------------------------------------------------------------------------

    def write(self, node: Node) -> None:
        if node is self.root:
            self.write_root()
        else:
            self.write_block(node.number)

    def new_block(self, files: list[Any], children: list[Node | None]) -> Node:
        number = next(n for n in range(len(self.used) + 1) if n not in self.used)
        self.used.add(number)
        self.write_root()  # the index bitmap lies in the directory's record
        node = Node(number, files, children)
        self.write(node)
        return node

    def drop_block(self, node: Node) -> None:
        assert node.number is not None
        self.used.remove(node.number)
        self.write_root()

    # --- search ---------------------------------------------------------------------------------------------------

    def path(self, file: Any) -> list[tuple[Node, int]]:
        """Nodes from the root down to the file's entry, or to the leaf where it belongs, with the position in each."""
        found, node = [], self.root
        while node is not None:
            at = bisect_left(node.files, order(file), key=order)
            found.append((node, at))
            if at < len(node.files) and node.files[at] is file:
                break
            node = node.children[at]
        return found

    def in_order(self, node: Node | None = None) -> list[Any]:
        """Return all files in the order of the index."""
        node = node or self.root
        files: list[Any] = []
        for child, file in zip(node.children, [*node.files, None], strict=True):
            files += self.in_order(child) if child is not None else []
            files += [file] if file is not None else []
        return files

    def depth(self) -> int:
        """Levels below the root."""
        node, levels = self.root, 0
        while node.children[0] is not None:
            node, levels = node.children[0], levels + 1
        return levels

    # --- changes --------------------------------------------------------------------------------------------------

    def touch(self, file: Any) -> None:
        self.write(self.path(file)[-1][0])

    def add(self, file: Any) -> None:
        while True:
            path = self.path(file)
            node, at = path[-1]
            need = node.bytes + entry_bytes(file)
            if need <= (self.root_room if node is self.root else BLOCK_ROOM):
                node.files.insert(at, file)
                node.children.insert(at, None)
                self.write(node)
                return
            if node is self.root:
                self.root_fits(need)
            else:
                self.split(path)

    def root_fits(self, need: int) -> bool:
        """Make the root larger; where its record has no room its content goes down into a new block."""
        if need <= ROOT_MOST:
            self.root_room = need
            return True
        below = self.new_block(self.root.files, self.root.children)
        self.root.files, self.root.children = [], [below]
        self.root_room = self.root.bytes
        return False

    def split(self, path: list[tuple[Node, int]]) -> None:
        """Split the last node of a path; where its parent has no room, that is made first and nothing else done."""
        (parent, at), (node, _) = path[-2:]
        middle = len(node.files) // 2
        tail = self.new_block(node.files[middle + 1 :], node.children[middle + 1 :])
        moving = node.files[middle]
        need = parent.bytes + entry_bytes(moving) + 8
        twice = 8 if node.children[middle] is not None else 0  # a child that the entry has already is counted again
        fits = self.root_fits(need) if parent is self.root else need + twice <= BLOCK_ROOM
        if not fits:
            if parent is not self.root:
                self.split(path[:-1])  # takes a block of its own before this one's is given back
            self.drop_block(tail)
            return
        self.splits += 1
        parent.files.insert(at, moving)
        parent.children[at : at + 1] = [node, tail]
        self.write(parent)
        del node.files[middle:], node.children[middle + 1 :]
        self.write(node)

    def remove(self, file: Any) -> None:
        while True:
            path = self.path(file)
            node, at = path[-1]
            if node.children[at] is None:
                self.remove_from_leaf(path)
                return
            # an entry with a block before it: the next name takes its place
            node_below, below = node.children[at + 1], []
            while node_below is not None:
                below.append((node_below, 0))
                node_below = node_below.children[0]
            heir = below[-1][0].files[0]
            more = entry_bytes(heir) - entry_bytes(file)
            if more > 0 and node is self.root:
                if not self.root_fits(node.bytes + more):
                    continue
            elif more > 0 and node.bytes + more > BLOCK_ROOM:
                self.split(path)
                continue
            node.files[at] = heir
            if node is self.root:
                self.root_room = node.bytes
            self.write(node)
            self.remove_from_leaf([*path[:-1], (node, at + 1), *below])
            return

    def remove_from_leaf(self, path: list[tuple[Node, int]]) -> None:
        node, at = path[-1]
        if len(node.files) > 1 or node is self.root:
            del node.files[at], node.children[at]
            if node is self.root:
                self.root_room = node.bytes
            self.write(node)
            return
        self.drops += 1
        while True:  # the leaf goes away, and so do parents that have no other child
            self.drop_block(node)
            path = path[:-1]
            node, at = path[-1]
            if node.files:
                break
            if node is self.root:
                node.children = [None]
                self.root_room = node.bytes
                self.write(node)
                return
        at = min(at, len(node.files) - 1)  # the entry beside the lost child
        lost = path[-1][1]
        full = node is self.root and node.bytes == self.root_room
        entry = node.files.pop(at)
        del node.children[lost]
        if full:
            self.root_room = node.bytes
        self.write(node)
        self.add(entry)
