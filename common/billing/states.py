"""GST's state codes: the first two digits of a GSTIN, and the place of a supply.

Source: the GST portal's list of state codes; 25 and 28 are of the states before their mergers and only on old GSTINs.
"""

from __future__ import annotations

ABROAD = "96"

STATES = {
    "01": "Jammu and Kashmir",
    "02": "Himachal Pradesh",
    "03": "Punjab",
    "04": "Chandigarh",
    "05": "Uttarakhand",
    "06": "Haryana",
    "07": "Delhi",
    "08": "Rajasthan",
    "09": "Uttar Pradesh",
    "10": "Bihar",
    "11": "Sikkim",
    "12": "Arunachal Pradesh",
    "13": "Nagaland",
    "14": "Manipur",
    "15": "Mizoram",
    "16": "Tripura",
    "17": "Meghalaya",
    "18": "Assam",
    "19": "West Bengal",
    "20": "Jharkhand",
    "21": "Odisha",
    "22": "Chhattisgarh",
    "23": "Madhya Pradesh",
    "24": "Gujarat",
    "25": "Daman and Diu",
    "26": "Dadra and Nagar Haveli and Daman and Diu",
    "27": "Maharashtra",
    "28": "Andhra Pradesh (before 2014)",
    "29": "Karnataka",
    "30": "Goa",
    "31": "Lakshadweep",
    "32": "Kerala",
    "33": "Tamil Nadu",
    "34": "Puducherry",
    "35": "Andaman and Nicobar Islands",
    "36": "Telangana",
    "37": "Andhra Pradesh",
    "38": "Ladakh",
    "97": "Other Territory",
    ABROAD: "Other Country",
}
OLD = frozenset({"25", "28"})
"""Of states as they were: on old GSTINs, but nobody lives there."""
WITHOUT_LEGISLATURE = frozenset({"04", "25", "26", "31", "35", "38", "97"})
"""Territories whose half of the tax is UTGST, not SGST (CGST Act, section 2(114)); Delhi, Puducherry and Jammu and
Kashmir have a legislature, and SGST."""
