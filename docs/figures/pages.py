"""MkDocs hook: README, cards and other Markdown outside docs/ are pages of the site too, from the same files.

A link in any page is written for the repository, where GitHub follows it. On the site a link to a page goes to that
page; a link to a file that is no page (source code) becomes plain text.
"""

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# File in the repository -> page of the site.
OUTSIDE = {
    "README.md": "index.md",
    "apps/README.md": "apps/index.md",
    "apps/android/README.md": "apps/android.md",
    "apps/ios/README.md": "apps/ios.md",
    "apps/testdata/README.md": "apps/testdata.md",
    "edge_scs/weights/edge_scs_m.md": "weights/edge_scs_m.md",
    "edge_scs/weights/edge_scs_s.md": "weights/edge_scs_s.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


def site_path(path: str) -> str | None:
    """The site's path of a file of the repository; None: the site does not have it."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    inside = path.removeprefix("docs/")
    return None if inside == path or inside.startswith("figures/") else inside


def translated(markdown: str, source: str) -> str:
    """``markdown`` of the file ``source`` (from the repository's root) with links that hold on the site."""
    page = site_path(source) or ""

    def link(match: re.Match[str]) -> str:
        image, text, target, anchor = match.groups(default="")
        if not target or "://" in target or target.startswith("mailto:"):
            return match.group()
        path = os.path.normpath(PurePosixPath(source).parent / target)
        goal = site_path(path)
        if goal is None:
            return text
        return f"{image}[{text}]({os.path.relpath(goal, PurePosixPath(page).parent)}{anchor})"

    return LINK.sub(link, markdown)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, page in OUTSIDE.items():
        if (ROOT / source).is_file():
            files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    sources = {target: source for source, target in OUTSIDE.items()}
    return translated(markdown, sources.get(page.file.src_uri, f"docs/{page.file.src_uri}"))
