"""Profiles: files of measurements from one source. The only reader and writer of profiles/."""

from planner.profiles.reader import load_folder, load_profile, parse_profile
from planner.profiles.writer import profile_text

__all__ = ["load_folder", "load_profile", "parse_profile", "profile_text"]
