def page(found): return ""
def picture(found, path): return None
